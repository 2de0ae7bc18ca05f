import PQueue from 'p-queue'
import { checkImport } from '../../images/create.ts'
import { downloadFailed } from '../../images/errors.ts'
import { isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import { type ImageName, shortName } from '../../sources/registry/image-name.ts'
import type { Platform } from '../../sources/registry/manifest.ts'
import type { RegistryClient } from '../../sources/registry/registry-client.ts'
import { checkFileSize, type FetchedFile, fetchDigested } from '../jobs/fetch-digested.ts'
import { discardFiles, storeImage } from '../jobs/store-image.ts'
import { type LayerImage, layerImages, shortDigest } from './layer-images.ts'

/** Imports an image from a docker registry, as images of type docker (reference contract, section 11). */

export interface DockerImport {
  images: Images
  registry: RegistryClient
  name: ImageName
  /** A tag or a digest. */
  reference: string
  isPublic: boolean
  channel?: string | undefined
  requestId: string
  signal: AbortSignal
  /** Called with the progress, in the messages of the reference server. */
  send(message: Record<string, unknown>): void
}

/** The platform for which SmartOS runs docker images. */
const PLATFORM: Platform = { os: 'linux', architecture: 'amd64' }
const LAYERS_AT_ONCE = 5
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/** Imports an image. No layer is visible before all of them are fetched. Throws ImgapiError or SourceError. */
export async function importDockerImage(work: DockerImport): Promise<void> {
  const { images, registry, name, reference, isPublic, channel, requestId, send } = work
  const failed = new AbortController()
  const signal = AbortSignal.any([work.signal, failed.signal])
  // Report this before the first request, which may take long.
  status({ status: `${reference}: Pulling from ${shortName(name)} (req ${requestId})` })
  const found = await registry.resolve(name.repository, reference, { platform: PLATFORM, signal })
  const layers = layerImages(name, found, { isPublic, now: images.now() })
  for (const { uuid, manifest } of layers) {
    if (!(await isHere(uuid))) checkImport(images, manifest, channel)
  }
  const local = `${shortName(name)}${reference.startsWith('sha256:') ? '@' : ':'}${reference}`
  for (const { layer } of layers) {
    status({ id: shortDigest(layer.digest), progressDetail: {}, status: 'Pulling fs layer' })
  }
  const fetched = new Map<string, FetchedFile>()
  let isNew = false
  try {
    const queue = new PQueue({ concurrency: LAYERS_AT_ONCE })
    const fetching = layers.map(layer => queue.add(() => fetch(layer)))
    await Promise.all(fetching).catch(async error => {
      failed.abort()
      await Promise.allSettled(fetching)
      throw error
    })
    isNew = fetched.size > 0
    for (const { uuid, layer, manifest } of layers) {
      const file = fetched.get(uuid)
      // From here on storeImage owns the file.
      fetched.delete(uuid)
      if (!file) continue
      progress(layer.digest, 'Activating image')
      // Origins come first, so an image that can be seen can be installed.
      await storeImage(images, { manifest, files: [file], channel, signal })
      progress(layer.digest, 'Pull complete')
    }
  } finally {
    await discardFiles(fetched.values())
  }
  const head = layers.at(-1)!
  send({
    type: 'create-docker-image',
    config_digest: found.configDigest,
    head: true,
    image: found.config,
    image_uuid: head.uuid,
    manifest_digest: found.manifestDigest,
    manifest_str: found.manifest,
    size: layers.reduce((total, { layer }) => total + layer.size, 0),
    dockerImageVersion: '2.2',
  })
  status({ status: `Digest: ${found.digest}` })
  const outcome = isNew ? 'Downloaded newer image' : 'Image is up to date'
  status({ status: `Status: ${outcome} for ${local}` })

  async function fetch({ uuid, layer }: LayerImage) {
    const { digest } = layer
    signal.throwIfAborted()
    progress(digest, 'Pulling fs layer')
    if (await isHere(uuid)) return progress(digest, 'Already exists')
    const file = { ...layer, label: `layer ${digest}` }
    checkFileSize(images, file)
    const onRetry = (error: Error) => progress(digest, `Retrying: ${error.message}`)
    const blob = registry.blob(name.repository, layer, 0, signal, onRetry)
    const received = await fetchDigested(images, file, blob, {
      inspect: head => refuseZstd(head, digest),
      onProgress: detail => progress(digest, 'Downloading', detail),
    })
    fetched.set(uuid, received)
    progress(digest, 'Download complete')
  }

  async function isHere(uuid: string) {
    const found = await images.manifests.find(uuid)
    return found !== undefined && isActivated(found.image)
  }

  function status(payload: Record<string, unknown>) {
    send({ type: 'status', payload })
  }

  function progress(digest: string, text: string, progressDetail?: Record<string, number>) {
    const payload = { id: shortDigest(digest), status: text, ...(progressDetail && { progressDetail }) }
    send({ type: 'progress', payload })
  }
}

/** Throws Download for zstd, which the programs that install images of type docker cannot unpack. */
function refuseZstd(head: Buffer, digest: string) {
  if (!head.subarray(0, 4).equals(ZSTD)) return
  throw downloadFailed(`layer ${digest} is compressed with zstd: push the image with gzip`)
}
