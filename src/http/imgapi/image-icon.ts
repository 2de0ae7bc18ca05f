import { openStored } from '../../images/files.ts'
import { addImageIcon, deleteImageIcon, iconOf } from '../../images/icon.ts'
import { readableImage } from '../../images/visibility.ts'
import { accelHeaders } from '../accel.ts'
import type { Operation } from '../operation.ts'
import { sendFile } from '../send-file.ts'

/** Reference contract, 8.16. */
const path = '/images/:uuid/icon'

export const addImageIconOperation: Operation = {
  name: 'AddImageIcon',
  method: 'PUT',
  path,
  async handle(request) {
    await request.authenticate()
    const uuid = request.uuid()
    const { query, service } = request
    const options = {
      contentType: request.header('content-type'),
      sha1: query.get('sha1'),
      storage: query.get('storage'),
    }
    return request.image(await addImageIcon(service.images, uuid, request.viewer(), options, request.file()))
  },
}

export const getImageIcon: Operation = {
  name: 'GetImageIcon',
  method: 'GET',
  path,
  async handle(request) {
    const uuid = request.uuid()
    await request.identify()
    const { images, serverName, accel } = request.service
    const image = await readableImage(images, uuid, request.viewer({ everyChannel: true }))
    const icon = iconOf(image)
    const manifestEtag = request.rendered(image, { ...request.view(), adminFields: false }).etag
    return sendFile(request.exchange, serverName, images.policy.stallTimeout, {
      size: icon.size,
      contentType: icon.contentType,
      md5: icon.md5 && Buffer.from(icon.md5, 'hex').toString('base64'),
      resource: { etags: [icon.sha1, manifestEtag], modified: new Date(icon.mtime) },
      accel: accelHeaders(accel, uuid, icon),
      open: () => openStored(images, uuid, icon),
    })
  },
}

export const deleteImageIconOperation: Operation = {
  name: 'DeleteImageIcon',
  method: 'DELETE',
  path,
  async handle(request) {
    await request.authenticate()
    const uuid = request.uuid()
    return request.image(await deleteImageIcon(request.service.images, uuid, request.viewer()))
  },
}
