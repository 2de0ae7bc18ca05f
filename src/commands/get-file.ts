import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fetchFile, hasFile } from '../client/fetch-file.ts'
import type { RemoteImage } from '../client/types.ts'
import { EXTENSION } from '../images/compression.ts'
import type { RemoteFile } from '../images/fetched-file.ts'
import { EXIT, OperatorError, UsageError } from '../util/operator-error.ts'
import { type Context, clientCommand } from './client-command.ts'
import { readUuid, uuidsArg } from './uuid-arg.ts'

/** Five retries with growing delays: half a minute in all. */
const RETRY = { retries: 5, firstDelay: 1000, longestDelay: 15_000 }

export const getFile = clientCommand({
  meta: {
    name: 'get-file',
    description: 'Download the files of images; run it again to resume after a failure',
  },
  args: {
    uuid: uuidsArg,
    output: {
      type: 'string',
      alias: 'o',
      valueHint: 'PATH',
      description: 'file or folder to write to (default: NAME-VERSION.zfs.gz in this folder)',
      complete: 'file',
    },
    index: {
      type: 'string',
      valueHint: 'N',
      description: 'which file of an image that has two (default: 0)',
    },
    force: { type: 'boolean', alias: 'f', description: 'replace an existing file that has other content' },
  },
  examples: [
    'imgapi get-file 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b',
    'imgapi get-file 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b -o base.zfs.gz',
    'imgapi get-file $(imgapi list -H -o uuid name=base) -o /var/tmp/',
  ],
  async run({ uuid: uuids, output, index, force }, context) {
    const number = Number(index ?? 0)
    if (!/^[01]$/.test(index ?? '0')) throw new UsageError(`--index: expected 0 or 1, found ${index}`)
    if (uuids.length > 1 && output !== undefined && !isFolder(output)) mkdirSync(output, { recursive: true })
    const images = []
    for (const uuid of uuids) images.push(await context.client.getImage(readUuid(uuid)))
    const results = await Promise.allSettled(
      images.map(image => fetchOne(context, image, number, pathFor(image, output), force)),
    )
    const failed = results.find(result => result.status === 'rejected')
    if (failed) throw failed.reason
  },
})

const isFolder = (path: string) =>
  path.endsWith('/') || statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** Returns a file name for an image, without the slashes and spaces that its name may have. */
export const fileNameOf = ({ name, version, files }: RemoteImage) =>
  `${`${name}-${version}`.replace(/[^A-Za-z0-9._+-]/g, '_')}.zfs${EXTENSION[files?.[0]?.compression ?? 'none'] ?? ''}`

function pathFor(image: RemoteImage, output: string | undefined): string {
  if (output === undefined) return fileNameOf(image)
  if (!isFolder(output)) return output
  mkdirSync(output, { recursive: true })
  return join(output, fileNameOf(image))
}

async function fetchOne(context: Context, image: RemoteImage, index: number, path: string, force: boolean) {
  const { client, progress, signal, say } = context
  const file = fileOf(image, index)
  if (await hasFile(path, file, signal)) return say(`${path}: already there and identical`)
  if (!force && statSync(path, { throwIfNoEntry: false })) {
    throw new OperatorError(`${path}: another file of that name exists; use --force to replace it`)
  }
  let transfer: ReturnType<typeof progress.start> | undefined
  try {
    await fetchFile(client, {
      url: client.fileUrl(image.uuid, index),
      path,
      expected: file,
      retry: RETRY,
      signal,
      onProgress: done => {
        transfer ??= progress.start(path, 'fetching', file.size, done)
        transfer.update(done)
      },
      onRetry: error => progress.note(`${path}: ${error.message}; retrying`),
    })
    transfer?.finish('fetched')
    say(`${path}: ${file.size} bytes, SHA-1 ${file.sha1}`)
  } catch (error) {
    transfer?.fail()
    if (!signal.aborted) throw error
    throw new OperatorError(`${path}: interrupted; run it again to resume`, EXIT.interrupted)
  }
}

function fileOf({ uuid, files }: RemoteImage, index: number): RemoteFile {
  const file = files?.[index]
  if (file) return { ...file, size: Number(file.size) }
  throw new OperatorError(
    `image ${uuid} has no file${index === 0 ? '' : ` at index ${index}`}`,
    EXIT.notFound,
  )
}
