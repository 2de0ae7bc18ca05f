import { invalidParameter, missingBody } from './errors.ts'
import type { Image } from './image.ts'
import { changeImage, type Images } from './images.ts'
import { refuseOtherKeys } from './intake.ts'
import { isObject, text } from './rules.ts'
import { channelsOf, resolveChannel } from './visibility.ts'

/** ChannelAddImage: puts an image into one more channel (reference contract, section 6). */
export async function addToChannel(images: Images, uuid: string, body: unknown): Promise<Image> {
  if (!isObject(body)) throw missingBody()
  const given = body.channel ?? ''
  // An empty name would mean the default channel, in which the image is then published.
  if (given === '') {
    throw invalidParameter('channel', 'name the channel in the body: {"channel": NAME}', 'MissingParameter')
  }
  refuseOtherKeys(body, ['channel'])
  const channel = resolveChannel(images.policy, text(given), false)
  return changeImage(images, uuid, image => {
    const channels = channelsOf(image, images.policy)
    if (channel === undefined || channels.includes(channel)) return image
    return { ...image, channels: [...channels, channel] }
  })
}
