import { openStored } from '../../images/files.ts'
import { addImageIcon, deleteImageIcon, iconOf } from '../../images/icon.ts'
import { accelHeaders } from '../accel.ts'
import { operation } from '../operation.ts'
import { text } from '../parameters.ts'
import { sendFile } from '../send-file.ts'
import { AN_IMAGE, BYTES } from './schemas.ts'

/** Reference contract, 8.16. */
const path = '/images/:uuid/icon'

export const addImageIconOperation = operation({
  name: 'AddImageIcon',
  method: 'PUT',
  path,
  access: 'change',
  image: 'own',
  summary: 'Uploads the icon of an image: JPEG, GIF or PNG of at most 128 KiB.',
  parameters: {
    sha1: text('what the SHA-1 of the icon must be, hex'),
    storage: text('local or manta; this server has one store'),
  },
  body: 'bytes',
  answers: AN_IMAGE,
  handle: ({ request, service, viewer, image, parameters }) =>
    addImageIcon(
      service.images,
      image.uuid,
      viewer,
      { ...parameters, contentType: request.header('content-type') },
      request.file(),
    ),
})

export const getImageIcon = operation({
  name: 'GetImageIcon',
  method: 'GET',
  path,
  access: 'read',
  image: 'readable',
  summary: 'Returns the icon of an image.',
  answers: BYTES,
  async handle({ request, service, image }) {
    const { images, accel } = service
    const icon = iconOf(image)
    return sendFile(request.exchange, images.policy.stallTimeout, {
      size: icon.size,
      contentType: icon.contentType,
      md5: icon.md5 && Buffer.from(icon.md5, 'hex').toString('base64'),
      resource: { etags: [icon.sha1, request.etagOf(image)], modified: new Date(icon.mtime) },
      accel: accelHeaders(accel, image.uuid, icon),
      open: () => openStored(images, image.uuid, icon),
    })
  },
})

export const deleteImageIconOperation = operation({
  name: 'DeleteImageIcon',
  method: 'DELETE',
  path,
  access: 'change',
  image: 'own',
  summary: 'Deletes the icon of an image.',
  answers: AN_IMAGE,
  handle: ({ service, image }) => deleteImageIcon(service.images, image.uuid),
})
