import { accelHeaders } from '../../http/accel.ts'
import { sendFile } from '../../http/send-file.ts'
import { notFound } from '../../images/errors.ts'
import { fileAt, openStored } from '../../images/files.ts'
import { readableImage } from '../../images/visibility.ts'
import { findImage } from './find.ts'
import type { MistifyRequest } from './request.ts'

/**
 * Handles GET and HEAD /images/{id}/download: answers with the stored bytes, or a range of them, and their digests.
 */
export async function downloadImage(request: MistifyRequest): Promise<Response> {
  const { images, accel } = request.context
  const found = await findImage(request, request.id)
  if (!found.image) throw notFound('incomplete image')
  const image = await readableImage(images, request.id, request.viewer)
  const file = fileAt(image, 0)
  const md5 = await images.files.md5(image.uuid, file)
  return sendFile(request.exchange, images.policy.stallTimeout, {
    size: file.size,
    contentType: 'application/octet-stream',
    md5: md5 && Buffer.from(md5, 'hex').toString('base64'),
    resource: { etags: [file.sha1], modified: new Date(file.mtime) },
    // RFC 9530: the digest of the complete file, also with a range.
    headers: { 'Repr-Digest': `sha=:${Buffer.from(file.sha1, 'hex').toString('base64')}:` },
    // The front proxy serves the server's own port only.
    accel: request.settings.prefix === undefined ? undefined : accelHeaders(accel, image.uuid, file),
    open: () => openStored(images, image.uuid, file),
  })
}
