import { checkCompression, readCompression } from '../../images/compression.ts'
import { invalidParameter, missingBody, upload } from '../../images/errors.ts'
import { readRemoteFiles, storeFetchedFile } from '../../images/fetched-file.ts'
import { checkStorage, holdUpload } from '../../images/files.ts'
import type { Image } from '../../images/image.ts'
import { refuseOtherKeys } from '../../images/intake.ts'
import { requireMutableFiles } from '../../images/lifecycle.ts'
import { isObject } from '../../images/rules.ts'
import { ownImage, type Viewer } from '../../images/visibility.ts'
import { type Fetch, fetchFile, fetchOptions } from '../../jobs/fetch-file.ts'
import { getManifest } from '../../jobs/missing.ts'
import { ImgapiSource } from '../../sources/imgapi-source.ts'
import { readSourceUrl } from '../../sources/source-url.ts'
import type { ApiRequest } from '../api-request.ts'
import type { Operation } from '../operation.ts'

/** POST /images/:uuid/file/from-url (reference contract, 8.10), from http as well as https. */
export const addImageFileFromUrl: Operation = {
  name: 'AddImageFileFromUrl',
  method: 'POST',
  path: '/images/:uuid/file/from-url',
  async handle(request) {
    await request.authenticate()
    const uuid = request.uuid()
    const { images, client } = request.service
    const viewer = request.viewer()
    const image = await ownImage(images, uuid, viewer)
    const body = await request.body()
    if (!isObject(body)) throw missingBody()
    refuseOtherKeys(body, ['file_url', ...PARAMETERS])
    requireMutableFiles(image)
    const parameter = (name: (typeof PARAMETERS)[number]) =>
      request.query.get(name) ?? readText(name, body[name])
    const compression = readCompression(parameter('compression'))
    if (!compression) throw invalidParameter('compression', 'missing "compression"', 'Missing')
    if (body.file_url === undefined) {
      throw invalidParameter('file_url', 'missing "file_url" field from request body', 'Missing')
    }
    const url = await readSourceUrl(client, 'file_url', body.file_url)
    checkStorage(parameter('storage'), viewer)
    const sha1 = parameter('sha1')?.toLowerCase()
    const dataset_guid = parameter('dataset_guid')
    const fetched = await fetchInto(request, uuid, { url, sha1 }, head => checkCompression(compression, head))
    return request.image(await storeFetchedFile(images, uuid, 0, { compression, dataset_guid }, fetched))
  },
}

/** In the query, or as a newer client sends them, in the body. */
const PARAMETERS = ['compression', 'sha1', 'dataset_guid', 'storage'] as const

/** Throws InvalidParameter: a `sha1` that is passed over would be one that nobody compares. */
function readText(field: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string' && value !== '') return value
  throw invalidParameter(
    field,
    `invalid "${field}" in the body: ${JSON.stringify(value)} is no text, or empty`,
  )
}

/** `PUT /images/:uuid/file?source=`: the file, or both, of the same image at another server (8.9). */
export async function addImageFileFromSource(
  request: ApiRequest,
  uuid: string,
  viewer: Viewer,
): Promise<Image> {
  const { images, client } = request.service
  let image = await ownImage(images, uuid, viewer)
  requireMutableFiles(image)
  checkStorage(request.query.get('storage'), viewer)
  const url = await readSourceUrl(client, 'source', request.query.get('source'))
  const source = new ImgapiSource(client, url)
  const files = readRemoteFiles(images, await getManifest(source, uuid))
  for (const [index, file] of files.entries()) {
    const { size, sha1 } = file
    const fetched = await fetchInto(request, uuid, { url: source.fileUrl(uuid, index), size, sha1 })
    image = await storeFetchedFile(images, uuid, index, file, fetched)
  }
  return image
}

/** Somebody is waiting for the answer: minutes of retries, as jobs have them, are no help. */
const PATIENCE = 2

/** The client's going away ends the download. */
async function fetchInto(
  request: ApiRequest,
  uuid: string,
  wanted: Pick<Fetch, 'url' | 'size' | 'sha1'>,
  inspect?: (head: Buffer) => void,
) {
  const { images, client, retry } = request.service
  const release = await holdUpload(images, uuid)
  const { outgoing } = request.exchange
  const gone = new AbortController()
  const onClose = () => gone.abort(upload('the client went away'))
  outgoing.once('close', onClose)
  if (outgoing.destroyed) onClose()
  const patient = { ...retry, retries: Math.min(retry.retries, PATIENCE) }
  try {
    return await fetchFile({ ...wanted, client, retry: patient, signal: gone.signal }, open =>
      images.files.receive(open(0), fetchOptions(images, wanted.size, inspect)),
    )
  } finally {
    outgoing.off('close', onClose)
    release()
  }
}
