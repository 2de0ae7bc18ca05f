import { imageAlreadyActivated, imageFilesImmutable, noActivationNoFile, validationFailed } from './errors.ts'
import { type Image, isActivated, isAvailable } from './image.ts'
import { changeImage, type Images } from './images.ts'

/** The states of an image and the changes between them (reference contract, 4.1 and 8.12). */

export const activateImage = (images: Images, uuid: string): Promise<Image> =>
  changeImage(images, uuid, image => activated(image, images.now()))

export const setDisabled = (images: Images, uuid: string, disabled: boolean): Promise<Image> =>
  changeImage(images, uuid, image => withDisabled(image, disabled))

/** Returns the activated image. Throws ImageAlreadyActivated, NoActivationNoFile or ValidationFailed. */
export function activated(image: Image, now: Date): Image {
  if (isActivated(image)) {
    throw imageAlreadyActivated(image.uuid)
  }
  if (image.files.length === 0) {
    const message = `image "${image.uuid}" cannot be activated: it has no file`
    throw noActivationNoFile(message)
  }
  requireDockerId(image)
  const { error: _, ...rest } = image
  return {
    ...rest,
    state: image.disabled ? 'disabled' : 'active',
    // An imported image keeps its date.
    published_at: image.published_at ?? now.toISOString(),
  }
}

/** Returns the image disabled or enabled. Before activation, and for a failed image, only the flag changes. */
export function withDisabled(image: Image, disabled: boolean): Image {
  if (image.disabled === disabled) return image
  const state = isAvailable(image) ? (disabled ? 'disabled' : 'active') : image.state
  return { ...image, disabled, state }
}

/**
 * Requires the tag by which imgadm lists an active docker image: one image without it breaks the whole list.
 * Throws ValidationFailed.
 */
export function requireDockerId({ type, tags }: Image) {
  if (type !== 'docker' || tags?.['docker:id']) return
  const message = 'invalid image "tags": an active image of type docker needs the tag "docker:id"'
  throw validationFailed([{ field: 'tags', code: 'Invalid', message }])
}

/** Throws ImageFilesImmutable for an activated image. */
export function requireMutableFiles(image: Image) {
  if (!isActivated(image)) return
  const message = `cannot modify files on activated image ${image.uuid}`
  throw imageFilesImmutable(message)
}
