import { missingBody } from './errors.ts'
import type { Image } from './image.ts'
import { changeImage, type Images } from './images.ts'
import { isObject, text } from './rules.ts'
import { channelsOf, resolveChannel } from './visibility.ts'

/** ChannelAddImage: puts an image into one more channel (reference contract, section 6). */
export async function addToChannel(images: Images, uuid: string, body: unknown): Promise<Image> {
  if (!isObject(body)) throw missingBody()
  const channel = resolveChannel(images.policy, text(body.channel ?? ''), false)
  return changeImage(images, uuid, image => {
    const channels = channelsOf(image, images.policy)
    if (channel === undefined || channels.includes(channel)) return image
    return { ...image, channels: [...channels, channel] }
  })
}
