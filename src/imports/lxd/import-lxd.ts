import { createHash } from 'node:crypto'
import { checkImport } from '../../images/create.ts'
import { downloadFailed } from '../../images/errors.ts'
import { isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import type { RetryPolicy } from '../../sources/retry.ts'
import { checkFileSize, type FetchedFile, fetchDigested } from '../jobs/fetch-digested.ts'
import { discardFiles, storeImage } from '../jobs/store-image.ts'
import type { ImageServer, OfferedFile } from './image-server.ts'
import { lxdManifest } from './lxd-manifest.ts'

/** Imports an image from an LXD image server, as one image of type lxd (reference contract, section 11). */

export interface LxdImport {
  images: Images
  retry: RetryPolicy
  server: ImageServer
  /** Name of the server in the config. */
  registry: string
  /** Alias of the image in the list of the server. */
  alias: string
  isPublic: boolean
  channel?: string | undefined
  requestId: string
  signal: AbortSignal
  /** Called with the progress, in the messages of the reference server. */
  send(message: Record<string, unknown>): void
}

/**
 * Imports an image, which is not visible before it is complete. Throws ImgapiError, SourceError, or an error with a
 * message for the user.
 */
export async function importLxdImage(work: LxdImport): Promise<void> {
  const { images, retry, server, registry, alias, isPublic, channel, requestId, signal, send } = work
  const status = `${alias}: Pulling from ${registry} (req ${requestId})`
  send({ type: 'status', payload: { status } })
  const found = await server.find(alias, signal)
  const options = { registry, isPublic, now: images.now() }
  const planned = lxdManifest(found, [], options)
  const { uuid } = planned
  const here = await images.manifests.find(uuid)
  if (here && isActivated(here.image)) return progress('Already exists', { image_uuid: uuid })
  checkImport(images, planned, channel)
  for (const { path, size } of found.listed) checkFileSize(images, { label: path, size })
  const fetched: FetchedFile[] = []
  const described: Pick<OfferedFile, 'path' | 'ftype' | 'sha256'>[] = []
  const whole = createHash('sha256')
  const onRetry = (error: Error) => progress(`Retrying: ${error.message}`)
  try {
    for await (const file of found.files({ signal, retry, onRetry })) {
      progress('Downloading image')
      const received = await fetchDigested(images, expectation(file), file.source, {
        onChunk: chunk => whole.update(chunk),
        onProgress: detail => progress('Downloading', {}, detail),
      })
      fetched.push(received)
      described.push({ path: file.path, ftype: file.ftype, sha256: received.sha256 })
    }
    checkFingerprint(whole.digest('hex'), found.fingerprint)
  } catch (error) {
    await discardFiles(fetched)
    throw error
  }
  const manifest = lxdManifest(found, described, options)
  progress('Download complete')
  progress('Activating image')
  await storeImage(images, { manifest, files: fetched, channel, signal })
  progress('Pull complete', { image_uuid: uuid })

  function progress(text: string, more: Record<string, unknown> = {}, detail?: Record<string, number>) {
    const id = `${registry}:${alias}`
    const payload = { id, status: text, ...(detail && { progressDetail: detail }) }
    send({ type: 'progress', payload, ...more })
  }
}

const expectation = ({ path, size, isSizeLimit, sha256 }: OfferedFile) => ({
  label: path,
  size,
  isSizeLimit,
  ...(sha256 && { digest: `sha256:${sha256}` }),
})

/** Verifies the fingerprint: with a false one the image would get the UUID of another. Throws Download. */
function checkFingerprint(found: string, listed: string) {
  if (found === listed) return
  throw downloadFailed(`the files have the fingerprint ${found}, and the server lists them with ${listed}`)
}
