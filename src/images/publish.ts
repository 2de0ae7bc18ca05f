import { importedImage } from './create.ts'
import { changeStored, orDiscard, storeImageFile } from './files.ts'
import type { Image, ImageFile, StoredFile } from './image.ts'
import type { Images } from './images.ts'
import { activated } from './lifecycle.ts'
import type { FileKind, ReceivedFile } from './ports.ts'
import { type Provenance, toTraits } from './provenance.ts'
import type { Viewer } from './visibility.ts'

/**
 * Creates images from received files: first the bytes, then the complete image with one write. A crash never leaves an
 * incomplete image.
 */

/** A received file, with its compression and dataset GUID from the bytes or the sender. */
export interface ArrivedFile extends Pick<ImageFile, 'compression' | 'dataset_guid'> {
  received: ReceivedFile
}

/**
 * Adds an active image with its files. `describe` returns the image without files, not activated. On any error, also of
 * `describe`, no image is added and the files are discarded, except that after a StorageIsDown the image may exist.
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

/** Adds all files to an unactivated image and activates it, with one write. Throws as `activated` does. */
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
  for (const { received, ...details } of arrived) {
    files.push(await storeImageFile(files.length, details, (...name) => store(received, ...name)))
  }
  return files
}

/**
 * Adds an active image from a manifest and its received files. Throws as `importedImage` does, and NoActivationNoFile.
 */
export const importWithFiles = (
  images: Images,
  uuid: string,
  manifest: Record<string, unknown>,
  viewer: Viewer,
  arrived: readonly ArrivedFile[],
): Promise<Image> => insertActive(images, arrived, () => importedImage(images, uuid, manifest, viewer))

const MEBIBYTE = 1024 * 1024

/** The fields that vmadm requires for a zvol. The stream does not contain its size: use the smallest possible one. */
const zvolFields = (size: number) => ({
  nic_driver: 'virtio',
  disk_driver: 'virtio',
  cpu_type: 'host',
  image_size: Math.ceil(size / MEBIBYTE),
})

/**
 * Adds an active image from a file that was received without a manifest. `manifest`: the known fields, with the UUID.
 * Throws ValidationFailed or ImageUuidAlreadyExists, and then discards the file. After StorageIsDown the image is
 * either complete and active or does not exist.
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
