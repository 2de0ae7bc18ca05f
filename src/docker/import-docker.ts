import PQueue from 'p-queue'
import { importImage } from '../images/create.ts'
import { storeFetchedFile } from '../images/fetched-file.ts'
import { isActivated } from '../images/image.ts'
import type { Images } from '../images/images.ts'
import { activateImage } from '../images/lifecycle.ts'
import { holdImport } from '../jobs/bring-image.ts'
import { type ImageName, shortName } from '../registry/image-name.ts'
import type { Platform } from '../registry/manifest.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import { type FetchedLayer, fetchLayer } from './fetch-layer.ts'
import { type LayerImage, layerImages, shortDigest } from './layer-images.ts'

/** Brings an image of a docker registry here, as images of type docker (reference contract, section 11). */

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
  /** Told what happens, in the messages of the reference server. */
  tell(message: Record<string, unknown>): void
}

/** What SmartOS runs images of docker for. */
const PLATFORM: Platform = { os: 'linux', architecture: 'amd64' }
const LAYERS_AT_ONCE = 5
/** Bytes between two messages on the progress of a layer. */
const PROGRESS_STEP = 512 * 1024

/** Until every layer is here nothing can be seen of the image. Throws ImgapiError or SourceError. */
export async function importDockerImage(work: DockerImport): Promise<void> {
  const { images, registry, name, reference, isPublic, requestId, tell } = work
  const failed = new AbortController()
  const signal = AbortSignal.any([work.signal, failed.signal])
  const found = await registry.resolve(name.repository, reference, { platform: PLATFORM, signal })
  const layers = layerImages(name, found, { isPublic, now: images.now() })
  const local = `${shortName(name)}${reference.startsWith('sha256:') ? '@' : ':'}${reference}`
  status({ status: `${reference}: Pulling from ${shortName(name)} (req ${requestId})` })
  for (const { layer } of layers) {
    status({ id: shortDigest(layer.digest), progressDetail: {}, status: 'Pulling fs layer' })
  }
  const fetched = new Map<string, FetchedLayer>()
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
    for (const layer of layers) {
      const file = fetched.get(layer.uuid)
      // From now on it is the image's, or gone.
      fetched.delete(layer.uuid)
      if (file) await store(work, layer, file, signal, progress)
    }
  } finally {
    await Promise.allSettled([...fetched.values()].map(({ received }) => received.discard()))
  }
  const head = layers.at(-1)!
  tell({
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
  const news = isNew ? 'Downloaded newer image' : 'Image is up to date'
  status({ status: `Status: ${news} for ${local}` })

  async function fetch({ uuid, layer }: LayerImage) {
    const { digest, size } = layer
    signal.throwIfAborted()
    progress(digest, 'Pulling fs layer')
    const here = await images.manifests.find(uuid)
    if (here && isActivated(here.image)) return progress(digest, 'Already exists')
    const start = Math.floor(images.now().getTime() / 1000)
    let told = 0
    const blob = registry.blob(name.repository, layer, 0, signal)
    const file = await fetchLayer(images, layer, blob, current => {
      if (current - told < PROGRESS_STEP && current < size) return
      told = current
      progress(digest, 'Downloading', { current, total: size, start })
    })
    fetched.set(uuid, file)
    progress(digest, 'Download complete')
  }

  function status(payload: Record<string, unknown>) {
    tell({ type: 'status', payload })
  }

  function progress(digest: string, text: string, progressDetail?: Record<string, number>) {
    const payload = { id: shortDigest(digest), status: text, ...(progressDetail && { progressDetail }) }
    tell({ type: 'progress', payload })
  }
}

/** Origins come first, so an image that can be seen can be installed. */
async function store(
  { images, channel }: DockerImport,
  { uuid, layer, manifest }: LayerImage,
  file: FetchedLayer,
  signal: AbortSignal,
  progress: (digest: string, text: string) => void,
) {
  progress(layer.digest, 'Activating image')
  try {
    const release = await holdImport(images, uuid, signal)
    try {
      const here = await images.manifests.find(uuid)
      const isDone = here !== undefined && isActivated(here.image)
      // Its UUID says what it is: the beginning that a crash left.
      if (here && !isDone) await images.manifests.remove(uuid, here.revision)
      if (isDone) await file.received.discard()
      else await make(images, { uuid, manifest, channel }, file)
    } finally {
      release()
    }
  } catch (error) {
    await file.received.discard()
    throw error
  }
  progress(layer.digest, 'Pull complete')
}

async function make(
  images: Images,
  { uuid, manifest, channel }: Pick<LayerImage, 'uuid' | 'manifest'> & { channel: string | undefined },
  { received, compression }: FetchedLayer,
) {
  await importImage(images, uuid, manifest, { authenticated: true, channel })
  try {
    await storeFetchedFile(images, uuid, 0, { compression }, received)
    await activateImage(images, uuid)
  } catch (error) {
    const made = await images.manifests.find(uuid)
    if (made) await images.manifests.remove(uuid, made.revision)
    throw error
  }
}
