import { EXTENSION } from './compression.ts'
import { importedImage } from './create.ts'
import { changeStored } from './files.ts'
import type { Image, ImageFile, StoredFile } from './image.ts'
import type { Images } from './images.ts'
import { activated } from './lifecycle.ts'
import type { FileKind, ReceivedFile } from './ports.ts'
import { type Provenance, toTraits } from './provenance.ts'
import type { Viewer } from './visibility.ts'

/**
 * Images that this server makes by itself: the bytes first, and then the whole image with one write. A crash
 * leaves nothing of an image that is not complete.
 */

/** A file that has arrived, with what its bytes or its sender say of it. */
export interface ArrivedFile extends Pick<ImageFile, 'compression' | 'dataset_guid'> {
  received: ReceivedFile
}

/**
 * Adds an active image with its files. `describe`: the image without them, and not activated. When something
 * fails, `describe` included, neither image nor bytes stay; but a StorageIsDown may say that the image is there.
 */
export const insertActive = (
  images: Images,
  arrived: readonly ArrivedFile[],
  describe: () => Image | Promise<Image>,
): Promise<Image> =>
  orDiscard(arrived, async () => {
    const blank = await describe()
    const files = await storeAll(arrived, (received, ...name) => received.stage(blank.uuid, ...name))
    const image = activated({ ...blank, files }, images.now())
    await images.manifests.insert(image)
    return image
  })

/** Gives an unfinished image its files and activates it, with one write. Throws as `activated` does. */
export const completeImage = (
  images: Images,
  uuid: string,
  arrived: readonly ArrivedFile[],
): Promise<Image> =>
  orDiscard(arrived, async () => {
    const files = await storeAll(arrived, (received, ...name) => received.attach(uuid, ...name))
    return changeStored(images, uuid, image => activated({ ...image, files }, images.now()))
  })

type Store = (received: ReceivedFile, kind: FileKind, extension: string) => Promise<StoredFile>

async function storeAll(arrived: readonly ArrivedFile[], store: Store): Promise<ImageFile[]> {
  const files: ImageFile[] = []
  for (const { received, compression, dataset_guid } of arrived) {
    const kind = files.length === 0 ? 'image' : 'image1'
    const stored = await store(received, kind, `.zfs${EXTENSION[compression]}`)
    files.push({ ...stored, compression, ...(dataset_guid && { dataset_guid }) })
  }
  return files
}

async function orDiscard(arrived: readonly ArrivedFile[], work: () => Promise<Image>): Promise<Image> {
  try {
    return await work()
  } catch (error) {
    await Promise.all(arrived.map(({ received }) => received.discard()))
    throw error
  }
}

/**
 * Makes an active image of a manifest and the files that have arrived for it. Throws as `importedImage` does,
 * and NoActivationNoFile.
 */
export const importWithFiles = (
  images: Images,
  uuid: string,
  manifest: Record<string, unknown>,
  viewer: Viewer,
  arrived: readonly ArrivedFile[],
): Promise<Image> => insertActive(images, arrived, () => importedImage(images, uuid, manifest, viewer))

const MEBIBYTE = 1024 * 1024

/** What vmadm wants to know of a zvol. Its size is not in the stream: the smallest that may be right. */
const zvolFields = (size: number) => ({
  nic_driver: 'virtio',
  disk_driver: 'virtio',
  cpu_type: 'host',
  image_size: Math.ceil(size / MEBIBYTE),
})

/**
 * Makes an active image of bytes that came without a manifest. `manifest`: what else is known of it, with its
 * UUID. Throws ValidationFailed or ImageUuidAlreadyExists, and then neither image nor bytes stay. After
 * StorageIsDown the image is whole and active, or is not there.
 */
export async function publishReceived(
  images: Images,
  manifest: Record<string, unknown> & { uuid: string },
  viewer: Viewer,
  provenance: Provenance,
  file: ArrivedFile,
): Promise<Image> {
  const { uuid } = manifest
  const full = {
    v: 2,
    ...manifest,
    ...(manifest.type === 'zvol' && zvolFields(file.received.size)),
    traits: toTraits(provenance),
  }
  return importWithFiles(images, uuid, full, viewer, [file])
}
