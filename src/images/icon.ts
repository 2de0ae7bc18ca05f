import { notFound, upload } from './errors.ts'
import { changeStored, checkDigests, checkStorage, type IncomingFile, orDiscard } from './files.ts'
import type { Icon, Image } from './image.ts'
import type { Images } from './images.ts'
import { receiveUpload } from './receive-upload.ts'
import type { Viewer } from './visibility.ts'

/** AddImageIcon, GetImageIcon, DeleteImageIcon (reference contract, 8.16). */

const MAX_SIZE = 128 * 1024
const EXTENSIONS: Record<string, string> = { 'image/jpeg': '.jpg', 'image/gif': '.gif', 'image/png': '.png' }

export interface AddIconOptions {
  contentType: string | undefined
  sha1?: string | undefined
  storage?: string | undefined
}

/** Adds an icon to an image, or replaces it. Throws Upload. */
export async function addImageIcon(
  images: Images,
  uuid: string,
  viewer: Viewer,
  { contentType, sha1, storage }: AddIconOptions,
  incoming: IncomingFile,
): Promise<Image> {
  const extension = contentType && EXTENSIONS[contentType]
  if (!contentType || !extension) {
    const types = Object.keys(EXTENSIONS).join(', ')
    throw upload(`invalid content-type, ${contentType}, must be one of ${types}`)
  }
  checkStorage(storage, viewer)
  const { size } = incoming
  if (size !== undefined && size > MAX_SIZE) {
    throw upload(`icon size ${size} (from Content-Length) exceeds the maximum allowed size, 128 KiB`)
  }
  const { stallTimeout } = images.policy
  // An icon is small, so its md5 costs little now, and needs no cache entry later.
  const limit = { size: MAX_SIZE, message: 'icon size exceeds the maximum allowed size, 128 KiB' }
  const options = { expectedSize: size, limit, stallTimeout, md5: true }
  const received = await receiveUpload(images, incoming.open(), options)
  return orDiscard([{ received }], async () => {
    checkDigests(received, sha1, incoming.md5, 'icon file')
    const icon: Icon = { ...(await received.attach(uuid, 'icon', extension)), contentType }
    return changeStored(images, uuid, image => ({ ...image, icon }))
  })
}

/** Removes an image's icon. Throws ResourceNotFound. */
export async function deleteImageIcon(images: Images, uuid: string): Promise<Image> {
  return changeStored(images, uuid, image => {
    iconOf(image)
    const { icon: _, ...rest } = image
    return rest
  })
}

/** Returns an image's icon. Throws ResourceNotFound. */
export function iconOf({ uuid, icon }: Image): Icon {
  if (icon) return icon
  throw notFound(`image "${uuid}" has no icon`)
}
