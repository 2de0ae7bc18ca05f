import { badRequest } from '../../images/errors.ts'
import { checkDigests, orDiscard, receiveImageFile } from '../../images/files.ts'
import { publishReceived } from '../../images/publish.ts'
import { operator } from '../../images/visibility.ts'
import { newManifest } from './manifest.ts'
import { fromImage, isMistifyType } from './record.ts'
import type { MistifyRequest } from './request.ts'

/** Handles PUT /images: stores the body as an image. Answers when all of it is stored. */
export async function uploadImage(request: MistifyRequest): Promise<Response> {
  const { images } = request.context
  const type = request.header('x-image-type')
  if (!isMistifyType(type)) throw badRequest('invalid X-Image-Type header')
  const since = images.now()
  const manifest = newManifest(images.policy, type, decode(request.header('x-image-comment')), '', since)
  const incoming = request.file()
  const { received, compression } = await receiveImageFile(images, undefined, incoming)
  await orDiscard([{ received }], async () => checkDigests(received, undefined, incoming.md5))
  const image = await publishReceived(
    images,
    { ...manifest, uuid: images.newUuid() },
    operator(request.viewer.channel),
    { source: '', since: since.toISOString(), isSizePromised: incoming.size !== undefined },
    { received, compression },
  )
  return request.json(fromImage(image, true))
}

/** Decodes a header. Node.js decodes headers as Latin-1, but clients usually send UTF-8. */
function decode(header = ''): string {
  const text = Buffer.from(header, 'latin1').toString()
  return text.includes('\uFFFD') ? header : text
}
