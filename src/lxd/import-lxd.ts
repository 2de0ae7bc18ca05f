import { createHash } from 'node:crypto'
import { ImgapiError } from '../images/errors.ts'
import { isActivated } from '../images/image.ts'
import type { Images } from '../images/images.ts'
import { checkFileSize, type FetchedFile, fetchDigested } from '../jobs/fetch-digested.ts'
import { discardFiles, storeImage } from '../jobs/store-image.ts'
import type { HttpClient } from '../sources/http-client.ts'
import { download, type RetryPolicy } from '../sources/resumable.ts'
import { lxdManifest } from './lxd-manifest.ts'
import { SimpleStreams } from './simplestreams.ts'

/** Imports an image from an LXD image server, as one image of type lxd (reference contract, section 11). */

export interface LxdImport {
  images: Images
  client: HttpClient
  retry: RetryPolicy
  /** The image server, and its name in the config. */
  registry: { name: string; url: URL }
  /** Of the image, as the server lists it. */
  alias: string
  isPublic: boolean
  channel?: string | undefined
  requestId: string
  signal: AbortSignal
  /** Called with the messages of the reference server as things happen. */
  tell(message: Record<string, unknown>): void
}

/** Until all of it is here nothing can be seen of the image. Throws ImgapiError, SourceError or an error that says why. */
export async function importLxdImage(work: LxdImport): Promise<void> {
  const { images, client, retry, registry, alias, isPublic, channel, requestId, signal, tell } = work
  const status = `${alias}: Pulling from ${registry.name} (req ${requestId})`
  tell({ type: 'status', payload: { status } })
  const server = new SimpleStreams(client, registry.url)
  const found = await server.find(alias, signal)
  const manifest = lxdManifest(found, { registry: registry.name, isPublic, now: images.now() })
  const { uuid } = manifest
  const here = await images.manifests.find(uuid)
  if (here && isActivated(here.image)) return progress('Already exists', { image_uuid: uuid })
  const wanted = found.files.map(file => ({ ...file, label: file.path, digest: `sha256:${file.sha256}` }))
  for (const file of wanted) checkFileSize(images, file)
  const fetched: FetchedFile[] = []
  const whole = createHash('sha256')
  try {
    for (const file of wanted) {
      progress('Downloading image')
      const source = download(client, server.resolve(file.path), {
        offset: 0,
        expectedSize: file.size,
        isVerified: true,
        signal,
        retry,
        onRetry: error => progress(`Retrying: ${error.message}`),
      })
      const options = {
        onChunk: (chunk: Buffer) => whole.update(chunk),
        onProgress: (detail: Record<string, number>) => progress('Downloading', {}, detail),
      }
      fetched.push(await fetchDigested(images, file, source, options))
    }
    checkFingerprint(whole.digest('hex'), found.fingerprint)
  } catch (error) {
    await discardFiles(fetched)
    throw error
  }
  progress('Download complete')
  progress('Activating image')
  await storeImage(images, { manifest, files: fetched, channel, signal })
  progress('Pull complete', { image_uuid: uuid })

  function progress(text: string, more: Record<string, unknown> = {}, detail?: Record<string, number>) {
    const id = `${registry.name}:${alias}`
    const payload = { id, status: text, ...(detail && { progressDetail: detail }) }
    tell({ type: 'progress', payload, ...more })
  }
}

/** The UUID comes from the fingerprint: a false one would take the UUID of another image. Throws Download. */
function checkFingerprint(found: string, listed: string) {
  if (found === listed) return
  const message = `the files have the fingerprint ${found}, and the server lists them with ${listed}`
  throw new ImgapiError('Download', message)
}
