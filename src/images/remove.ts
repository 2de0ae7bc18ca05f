import { type ImgapiError, imageHasDependentImages } from './errors.ts'
import type { Image } from './image.ts'
import { changeImage, findImage, type Images } from './images.ts'
import { channelsOf, type Viewer } from './visibility.ts'

/** DeleteImage (reference contract, 8.14). */

/** Makes the error for the removal of an image that is an origin: without it its children could not be installed. */
export function hasDependents(uuid: string, children: readonly Image[]): ImgapiError {
  const uuids = children.map(child => child.uuid).sort()
  const list =
    uuids.length < 10 ? uuids.join(', ') : `${uuids.slice(0, 5).join(', ')}, and ${uuids.length - 5} more...`
  const message = `image "${uuid}" has ${uuids.length} dependent incremental image(s): ${list}`
  return imageHasDependentImages(message)
}

/**
 * Deletes an image and its files. On a server with channels, an image in several channels is only removed from the
 * channel of the request, unless `everyChannel` is set. Throws ResourceNotFound or ImageHasDependentImages.
 */
export async function deleteImage(images: Images, uuid: string, viewer: Viewer, everyChannel: boolean) {
  for (;;) {
    const { image, revision } = await findImage(images, uuid)
    const { channel } = viewer
    const channels = channelsOf(image, images.policy)
    const leavesOneChannel = channel !== undefined && channels.length > 1 && !everyChannel
    const children = await images.manifests.listChildren(uuid)
    const dependents = leavesOneChannel
      ? children.filter(child => channelsOf(child, images.policy).includes(channel))
      : children
    if (dependents.length > 0) throw hasDependents(uuid, dependents)
    if (leavesOneChannel) {
      await changeImage(images, uuid, latest => ({
        ...latest,
        channels: channelsOf(latest, images.policy).filter(name => name !== channel),
      }))
      return
    }
    if (await images.manifests.remove(uuid, revision)) return
  }
}
