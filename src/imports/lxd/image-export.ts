import type { Readable } from 'node:stream'
import { type HttpClient, readText, type SourceAnswer } from '../../sources/http-client.ts'
import { statusError } from '../../sources/imgapi/error-body.ts'
import { download, type Getter } from '../../sources/resumable.ts'
import { withRetries } from '../../sources/retry.ts'
import { ExportForm, isForm } from './export-form.ts'
import type { OfferedFile, Transfer } from './image-server.ts'

export interface ImageExport {
  client: HttpClient
  url: URL
  /** Bytes of all files. */
  size: number
}

/**
 * Exports the files of an image from a server of LXD or Incus. All of them are in one answer: a multipart form, or one
 * combined file. A secret is valid for a few seconds only, so the answer is requested again only if it breaks off. Each
 * file must be read before the next. Throws SourceError.
 */
export async function* exportedFiles(image: ImageExport, transfer: Transfer): AsyncGenerator<OfferedFile> {
  const answer = await withRetries(() => ask(image, transfer.signal), transfer)
  try {
    if (isForm(answer)) yield* formFiles(image, answer, transfer)
    else yield wholeFile(image, answer, transfer)
  } finally {
    answer.body.destroy()
  }
}

/** Requests the export. Throws SourceError for any status but 200. */
async function ask({ client, url }: ImageExport, signal: AbortSignal | undefined): Promise<SourceAnswer> {
  const answer = await client.get(url, {}, signal)
  const { status, body, bytes } = answer
  if (status !== 200) throw statusError(url, status, await readText(bytes, url, signal))
  // An error before the body is read is found when it is read.
  body.on('error', () => {})
  return answer
}

async function* formFiles(image: ImageExport, answer: SourceAnswer, transfer: Transfer) {
  const path = pathOf(image)
  const left = new AbortController()
  const signal = AbortSignal.any([transfer.signal, left.signal])
  const form = new ExportForm(answer, () => ask(image, signal))
  let rest = image.size
  try {
    for (const index of ExportForm.indexes) {
      const { name, filename } = await withRetries(() => form.part(index), transfer)
      const size = rest
      // The last part must be exactly the rest.
      const isSizeLimit = index < ExportForm.indexes.length - 1
      const onProgress = (bytes: number) => {
        rest = size - bytes
      }
      const options = { ...transfer, onProgress, ...(!isSizeLimit && { expectedSize: size }) }
      const source = receive(image, form.getter(index), options)
      yield { path: `${path}: ${name}`, ftype: ftypeOf(name, filename), size, isSizeLimit, source }
    }
  } finally {
    left.abort()
    form.close()
  }
}

function wholeFile(image: ImageExport, begun: SourceAnswer, transfer: Transfer): OfferedFile {
  let first: SourceAnswer | undefined = begun
  // Use the answer that was requested already, and request the rest if it breaks off.
  const getter: Getter = {
    get: async (url, headers, signal) => {
      const answer = first ?? (await image.client.get(url, headers, signal))
      first = undefined
      return answer
    },
  }
  const disposition = String(begun.headers['content-disposition'])
  const ftype = `lxd_combined${extensionOf(/filename="?([^";]+)/.exec(disposition)?.[1])}`
  const { size } = image
  return {
    path: pathOf(image),
    ftype,
    size,
    source: receive(image, getter, { ...transfer, expectedSize: size }),
  }
}

function receive(
  { url }: ImageExport,
  getter: Getter,
  options: Transfer & { expectedSize?: number; onProgress?(bytes: number): void },
): Readable {
  return download(getter, url, { ...options, offset: 0, isVerified: true })
}

const pathOf = ({ url }: ImageExport) => url.pathname.slice(1)

const extensionOf = (filename: string | undefined) =>
  /\.(tar(\.\w+)?|squashfs)$/.exec(filename ?? '')?.[0] ?? ''

/** Returns the `ftype` that simplestreams has for such a file. */
function ftypeOf(name: string, filename: string | undefined): string {
  if (name === 'rootfs.img') return 'disk-kvm.img'
  const extension = extensionOf(filename)
  if (name === 'metadata') return `lxd${extension}`
  return extension === '.squashfs' ? 'squashfs' : `root${extension}`
}
