import { z } from 'zod'
import { checkCompression, readCompression } from '../../images/compression.ts'
import { invalidParameter, missingBody, upload } from '../../images/errors.ts'
import { readRemoteFiles, storeFetchedFile } from '../../images/fetched-file.ts'
import { checkStorage, lockUpload } from '../../images/files.ts'
import { refuseOtherKeys } from '../../images/intake.ts'
import { requireMutableFiles } from '../../images/lifecycle.ts'
import { isObject } from '../../images/rules.ts'
import { type Fetch, fetchFile, fetchOptions } from '../../imports/jobs/fetch-file.ts'
import { getManifest } from '../../imports/jobs/missing.ts'
import { ImgapiSource } from '../../sources/imgapi/source.ts'
import { readSourceUrl } from '../../sources/source-url.ts'
import type { ApiRequest } from '../api-request.ts'
import { operation } from '../operation.ts'
import { text } from '../parameters.ts'
import { AN_IMAGE } from './schemas.ts'

const dataset_guid = text('the GUID of the ZFS dataset')
const storage = text('local or manta; this server has one store')

/** POST /images/:uuid/file/from-url (reference contract, 8.10). URLs may be http or https. */
export const addImageFileFromUrl = operation({
  name: 'AddImageFileFromUrl',
  method: 'POST',
  path: '/images/:uuid/file/from-url',
  access: 'change',
  image: 'own',
  summary: 'Fetches the file of an image from a URL.',
  parameters: {
    compression: text('gzip, bzip2, xz or none'),
    sha1: text('what the SHA-1 of the file must be, hex'),
    dataset_guid,
    storage,
  },
  body: z.looseObject({ file_url: z.string() }),
  answers: AN_IMAGE,
  async handle({ request, service, image, viewer, body, parameters }) {
    const { images, client } = service
    if (!isObject(body)) throw missingBody()
    refuseOtherKeys(body, ['file_url', ...Object.keys(parameters)])
    requireMutableFiles(image)
    // Newer clients send the parameters in the body.
    const given = (name: keyof typeof parameters) => parameters[name] ?? readText(name, body[name])
    const compression = readCompression(given('compression'))
    if (!compression) throw invalidParameter('compression', 'missing "compression"', 'Missing')
    if (body.file_url === undefined) {
      throw invalidParameter('file_url', 'missing "file_url" field from request body', 'Missing')
    }
    const url = await readSourceUrl(client, 'file_url', body.file_url)
    checkStorage(given('storage'), viewer)
    const source = { url, sha1: given('sha1')?.toLowerCase() }
    const details = { compression, dataset_guid: given('dataset_guid') }
    const fetched = await fetchInto(request, image.uuid, source, head => checkCompression(compression, head))
    return storeFetchedFile(images, image.uuid, 0, details, fetched)
  },
})

/** Returns a text of the body. Throws InvalidParameter for others: an ignored `sha1` would never be compared. */
function readText(field: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string' && value !== '') return value
  const message = `invalid "${field}" in the body: ${JSON.stringify(value)} must be text that is not empty`
  throw invalidParameter(field, message)
}

/** Fetches the file or files of the same image from another server (reference contract, 8.9). */
export const addImageFileFromSource = operation({
  name: 'AddImageFileFromSource',
  method: 'PUT',
  path: '/images/:uuid/file',
  when: { source: true },
  access: 'change',
  image: 'own',
  summary: 'Fetches the file of an image from another server that has the same image.',
  parameters: { source: text('the URL of the other server'), storage },
  answers: AN_IMAGE,
  async handle({ request, service, image, viewer, parameters }) {
    const { images, client } = service
    const { uuid } = image
    requireMutableFiles(image)
    checkStorage(parameters.storage, viewer)
    const url = await readSourceUrl(client, 'source', parameters.source)
    const source = new ImgapiSource(client, url)
    const files = readRemoteFiles(images, await getManifest(source, uuid))
    let latest = image
    for (const [index, file] of files.entries()) {
      const { size, sha1 } = file
      const fetched = await fetchInto(request, uuid, { url: source.fileUrl(uuid, index), size, sha1 })
      latest = await storeFetchedFile(images, uuid, index, file, fetched)
    }
    return latest
  },
})

/** The client waits for the answer, so there are fewer retries than in a job. */
const MOST_RETRIES = 2

/** Fetches a file while holding the upload lock of the image. The download ends if the client disconnects. */
async function fetchInto(
  request: ApiRequest,
  uuid: string,
  source: Pick<Fetch, 'url' | 'size' | 'sha1'>,
  inspect?: (head: Buffer) => void,
) {
  const { images, client, retry } = request.service
  const release = await lockUpload(images, uuid)
  const { outgoing } = request.exchange
  const disconnected = new AbortController()
  const onClose = () => disconnected.abort(upload('the client went away'))
  outgoing.once('close', onClose)
  if (outgoing.destroyed) onClose()
  const fewRetries = { ...retry, retries: Math.min(retry.retries, MOST_RETRIES) }
  try {
    return await fetchFile({ ...source, client, retry: fewRetries, signal: disconnected.signal }, open =>
      images.files.receive(open(0), fetchOptions(images, source.size, inspect)),
    )
  } finally {
    outgoing.off('close', onClose)
    release()
  }
}
