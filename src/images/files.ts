import type { Readable } from 'node:stream'
import { checkCompression, EXTENSION, readCompression, sniffCompression } from './compression.ts'
import {
  badDigest,
  imageAlreadyActivated,
  imageNotFound,
  invalidParameter,
  invalidParameters,
  notFound,
  upload,
} from './errors.ts'
import { type Image, type ImageFile, isActivated, type StoredFile } from './image.ts'
import { changeImage, type Images } from './images.ts'
import { requireMutableFiles } from './lifecycle.ts'
import type { FileKind, ReceivedFile, Release } from './ports.ts'
import { receiveUpload } from './receive-upload.ts'
import type { Viewer } from './visibility.ts'

/** The files of images: AddImageFile and GetImageFile (reference contract, 8.8 and 8.9). */

export interface AddFileOptions {
  compression?: string | undefined
  /** What the file's SHA-1 must be, hex. */
  sha1?: string | undefined
  dataset_guid?: string | undefined
  storage?: string | undefined
  /** 0, or 1 for the second file of an image of type lxd. */
  index: number
}

/** A request body that has not been read yet. */
export interface IncomingFile {
  /** The size that the sender announced, if any, in bytes. */
  size?: number | undefined
  /** Base64, as in Content-MD5. */
  md5?: string | undefined
  /** Requests the bytes from the sender; not called for a refused upload. */
  open(): Readable
}

/**
 * Adds a file to an unactivated image, or replaces the one it has. Nothing changes before the whole file has been
 * received, verified and synced.
 */
export async function addImageFile(
  images: Images,
  image: Image,
  viewer: Viewer,
  options: AddFileOptions,
  incoming: IncomingFile,
): Promise<Image> {
  const { uuid } = image
  requireMutableFiles(image)
  const claimed = readCompression(options.compression)
  checkStorage(options.storage, viewer)
  const index = fileIndex(image, options.index)
  const release = await lockUpload(images, uuid)
  try {
    const { received, compression } = await receiveImageFile(images, claimed, incoming)
    return await orDiscard([{ received }], async () => {
      checkDigests(received, options.sha1, incoming.md5)
      const { dataset_guid } = options
      return attachImageFile(images, uuid, received, index, { compression, dataset_guid })
    })
  } finally {
    release()
  }
}

/** Milliseconds that an upload waits for another one, which needs a moment to end after its client has disconnected. */
const UPLOAD_WAIT = 1000

/** Locks the image for an upload. Returns the function that releases the lock. Throws Upload (409) if it is locked. */
export async function lockUpload({ locks }: Images, uuid: string): Promise<Release> {
  const busy = upload(`another upload to image ${uuid} is under way`, 409)
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(busy), UPLOAD_WAIT)
  try {
    return await locks.acquire(`upload ${uuid}`, limit.signal)
  } finally {
    clearTimeout(timer)
  }
}

/** Receives a file for any image, and detects its compression. Throws Upload or InvalidParameter. */
export async function receiveImageFile(
  images: Images,
  claimed: ImageFile['compression'] | undefined,
  incoming: IncomingFile,
) {
  checkSize(images, incoming.size)
  const { maxImageSize, stallTimeout } = images.policy
  let compression = claimed
  const received = await receiveUpload(images, incoming.open(), {
    expectedSize: incoming.size,
    ...(maxImageSize !== undefined && {
      limit: { size: maxImageSize, message: fileTooBig('size', maxImageSize) },
    }),
    stallTimeout,
    md5: incoming.md5 !== undefined,
    inspect: head => {
      checkCompression(claimed, head)
      compression ??= sniffCompression(head)
    },
  })
  return { received, compression: compression ?? 'none' }
}

/** Runs `work`, and discards the received files if it fails. `work` may add files to the list. */
export async function orDiscard<T>(
  files: readonly { received: ReceivedFile }[],
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    await Promise.all(files.map(({ received }) => received.discard()))
    throw error
  }
}

type FileDetails = Pick<ImageFile, 'compression' | 'dataset_guid'>
type Store = (kind: FileKind, extension: string) => Promise<StoredFile>

/** Stores a received file under the name for its index and compression. Returns its entry in the manifest. */
export async function storeImageFile(
  index: number,
  { compression, dataset_guid }: FileDetails,
  store: Store,
): Promise<ImageFile> {
  const stored = await store(index === 0 ? 'image' : 'image1', `.zfs${EXTENSION[compression]}`)
  return { ...stored, compression, ...(dataset_guid && { dataset_guid }) }
}

/** Adds a received file to an unactivated image at an index, and removes the one that it replaces. */
export async function attachImageFile(
  images: Images,
  uuid: string,
  received: ReceivedFile,
  index: number,
  details: FileDetails,
): Promise<Image> {
  const file = await storeImageFile(index, details, (...name) => received.attach(uuid, ...name))
  return changeStored(images, uuid, image => withFile(image, index, file))
}

/** Changes an image, and then removes the stored files that it no longer names. */
export async function changeStored(images: Images, uuid: string, change: (image: Image) => Image) {
  let before: Image | undefined
  const after = await changeImage(images, uuid, image => {
    before = image
    return change(image)
  })
  await removeSuperseded(images, before, after)
  return after
}

/** Removes files that `before` names and `after` does not. Never throws: a leftover file does no harm. */
export async function removeSuperseded(images: Images, before: Image | undefined, after: Image) {
  const stored = (image: Image) => [...image.files, ...(image.icon ? [image.icon] : [])]
  const kept = new Set(stored(after).map(file => file.name))
  const dropped = before ? stored(before).filter(file => !kept.has(file.name)) : []
  await Promise.allSettled(dropped.map(file => images.files.remove(after.uuid, file)))
}

/** Returns the image with a file at an index. Throws ImageAlreadyActivated. */
function withFile(image: Image, index: number, file: ImageFile): Image {
  if (isActivated(image)) {
    throw imageAlreadyActivated(image.uuid)
  }
  return { ...image, files: index === 0 ? [file, ...image.files.slice(1)] : [image.files[0]!, file] }
}

/** Returns the index to use. Only images of type lxd have two files, the metadata first. Throws InvalidParameter. */
function fileIndex(image: Image, index: number): number {
  if (index === 0 || image.type !== 'lxd') return 0
  if (index === 1 && image.files.length > 0) return 1
  const message =
    index === 1 ? 'upload the file at index 0 first' : `an image of type lxd has files 0 and 1, not ${index}`
  throw invalidParameter('index', `invalid index ${index}: ${message}`)
}

/** Checks `storage`, which selects a store of a datacenter. This server has one store and accepts its names. */
export function checkStorage(storage: string | undefined, viewer: Viewer) {
  if (storage === undefined) return
  if (viewer.account !== undefined) {
    throw invalidParameters(`invalid storage "${storage}"`, [
      {
        field: 'storage',
        code: 'NotAllowed',
        message: 'Parameter cannot be specified by non-operators',
      },
    ])
  }
  if (storage !== 'local' && storage !== 'manta') {
    throw invalidParameter('storage', `invalid storage "${storage}" (must be one of local, manta)`)
  }
}

function checkSize({ policy: { maxImageSize } }: Images, size: number | undefined) {
  if (size === 0) throw upload('image file size is 0 bytes, empty files are not allowed')
  if (maxImageSize === undefined || size === undefined || size <= maxImageSize) return
  throw upload(fileTooBig(`size ${size} (from Content-Length)`, maxImageSize))
}

export const fileTooBig = (size: string, limit: number) =>
  `image file ${size} exceeds the maximum allowed size, ${limit} bytes`

/** Verifies a received file. Throws Upload if it is empty or its SHA-1 is wrong, and BadDigest if its MD5 is wrong. */
export function checkDigests(
  received: ReceivedFile,
  sha1: string | undefined,
  md5: string | undefined,
  label = 'file',
) {
  if (received.size === 0) throw upload(`image ${label} size is 0 bytes, empty files are not allowed`)
  if (sha1 !== undefined && sha1.toLowerCase() !== received.sha1) {
    throw upload(`"sha1" hash, ${sha1}, does not match the uploaded ${label} sha1 hash, ${received.sha1}`)
  }
  const actual = received.md5 && Buffer.from(received.md5, 'hex').toString('base64')
  if (md5 !== undefined && md5 !== actual) {
    throw badDigest(md5, actual)
  }
}

/** Opens a stored file for reading. Throws ResourceNotFound if the image has been deleted meanwhile. */
export const openStored = (images: Images, uuid: string, file: StoredFile) =>
  unlessDeleted(images, uuid, () => images.files.open(uuid, file))

/** Duplicates a stored file for another image. Throws ResourceNotFound if the image has been deleted meanwhile. */
export const duplicateStored = (images: Images, uuid: string, file: StoredFile) =>
  unlessDeleted(images, uuid, () => images.files.duplicate(uuid, file))

/** Runs `use`, and turns its error into ResourceNotFound if the image has been deleted meanwhile. */
async function unlessDeleted<T>({ manifests }: Images, uuid: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (error) {
    throw (await manifests.find(uuid)) ? error : imageNotFound(uuid)
  }
}

/** Returns the file at an index. Throws ResourceNotFound. */
export function fileAt(image: Image, index: number): ImageFile {
  const file = image.files[index]
  if (file) return file
  const message =
    image.files.length === 0
      ? `image "${image.uuid}" has no file`
      : `image "${image.uuid}" has no file at index ${index}`
  throw notFound(message)
}
