import { EXTENSION } from '../../images/compression.ts'
import { invalidParameter } from '../../images/errors.ts'
import { addImageFile, fileAt, openStored } from '../../images/files.ts'
import type { Image, ImageFile } from '../../images/image.ts'
import { readableImage } from '../../images/visibility.ts'
import { accelHeaders } from '../accel.ts'
import type { Operation } from '../operation.ts'
import { sendFile } from '../send-file.ts'
import { addImageFileFromSource } from './fetch-image-file.ts'

/** The place of a file that is read; what is no number is the first, as in the reference. */
const indexOf = (given: string | undefined) => {
  const index = Number.parseInt(given ?? '0', 10)
  return Number.isNaN(index) ? 0 : index
}

/** The place of a file that is written, where a guess may replace the wrong one. Throws InvalidParameter. */
const exactIndex = (given = '0') => {
  if (/^\d{1,9}$/.test(given)) return Number(given)
  throw invalidParameter('index', `invalid index "${given}": not a whole number`)
}

/** Reference contract, 8.9. The body's Content-Type says nothing: imgadm sends application/json. */
export const addImageFileOperation: Operation = {
  name: 'AddImageFile',
  method: 'PUT',
  path: '/images/:uuid/file',
  async handle(request) {
    await request.authenticate()
    const uuid = request.uuid()
    const { query, service } = request
    if (query.get('source') !== undefined) {
      return request.image(await addImageFileFromSource(request, uuid, request.viewer()))
    }
    const options = {
      compression: query.get('compression'),
      sha1: query.get('sha1'),
      dataset_guid: query.get('dataset_guid'),
      storage: query.get('storage'),
      index: exactIndex(query.get('index')),
    }
    return request.image(await addImageFile(service.images, uuid, request.viewer(), options, request.file()))
  },
}

/** Reference contract, 8.8. Disabled images too: what is installed may need its origin again. */
export const getImageFile: Operation = {
  name: 'GetImageFile',
  method: 'GET',
  path: '/images/:uuid/file',
  async handle(request) {
    const uuid = request.uuid()
    await request.identify()
    const { images, serverName, accel } = request.service
    const image = await readableImage(images, uuid, request.viewer({ everyChannel: true }))
    const file = fileAt(image, indexOf(request.query.get('index')))
    const md5 = await images.files.md5(uuid, file)
    const manifestEtag = request.rendered(image, { ...request.view(), adminFields: false }).etag
    return sendFile(request.exchange, serverName, images.policy.stallTimeout, {
      size: file.size,
      contentType: 'application/octet-stream',
      md5: md5 && Buffer.from(md5, 'hex').toString('base64'),
      // The reference compares with the manifest's ETag, clients with the one they were sent.
      resource: { etags: [file.sha1, manifestEtag], modified: new Date(file.mtime) },
      headers: { 'Content-Disposition': `attachment; filename="${downloadName(image, file)}"` },
      accel: accelHeaders(accel, uuid, file),
      open: () => openStored(images, uuid, file),
    })
  },
}

/** The name that `imgadm create` gives to such a file; a name may have slashes and spaces, a file's may not. */
const downloadName = ({ name, version }: Image, { compression }: ImageFile) =>
  `${`${name}-${version}`.replace(/[^A-Za-z0-9._+-]/g, '_')}.zfs${EXTENSION[compression]}`
