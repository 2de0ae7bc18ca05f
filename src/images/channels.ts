import { missingBody } from './errors.ts'
import type { Image } from './image.ts'
import { changeImage, type Images } from './images.ts'
import { isObject } from './rules.ts'
import { channelsOf, resolveChannel } from './visibility.ts'

/** ChannelAddImage: puts an image into one more channel (reference contract, section 6). */
export async function addToChannel(images: Images, uuid: string, body: unknown): Promise<Image> {
  if (!isObject(body)) throw missingBody()
  const wanted = typeof body.channel === 'string' ? body.channel : undefined
  const channel = resolveChannel(images.policy, wanted, false)
  return changeImage(images, uuid, image => {
    const channels = channelsOf(image, images.policy)
    if (channel === undefined || channels.includes(channel)) return image
    return { ...image, channels: [...channels, channel] }
  })
}
