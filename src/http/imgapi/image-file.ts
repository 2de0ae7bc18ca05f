import { z } from 'zod'
import { EXTENSION } from '../../images/compression.ts'
import { invalidParameter } from '../../images/errors.ts'
import { addImageFile, fileAt, openStored } from '../../images/files.ts'
import type { Image, ImageFile } from '../../images/image.ts'
import { accelHeaders } from '../accel.ts'
import { operation } from '../operation.ts'
import { type Parameter, text } from '../parameters.ts'
import { sendFile } from '../send-file.ts'
import { AN_IMAGE, BYTES } from './schemas.ts'

/** The index of a file of an image. Text that is not a number means 0, as in the reference. */
const index: Parameter<number> = {
  description: '0, or 1 for the second file of an image of type lxd',
  schema: z.int(),
  read(query, name) {
    const given = Number.parseInt(query.get(name) ?? '0', 10)
    return Number.isNaN(given) ? 0 : given
  },
}

/** The index of a file to write. Text that is not a number is refused, because a guess may replace the wrong file. */
const exactIndex: Parameter<number> = {
  ...index,
  read(query, name) {
    const given = query.get(name) ?? '0'
    if (/^\d{1,9}$/.test(given)) return Number(given)
    throw invalidParameter(name, `invalid ${name} "${given}": not a whole number`)
  },
}

/** Reference contract, 8.9. The Content-Type of the body is ignored: imgadm sends application/json. */
export const addImageFileOperation = operation({
  name: 'AddImageFile',
  method: 'PUT',
  path: '/images/:uuid/file',
  access: 'change',
  image: 'own',
  summary: 'Uploads the file of an image that is not activated yet.',
  parameters: {
    compression: text('gzip, bzip2, xz or none; detected from the bytes if left out'),
    sha1: text('what the SHA-1 of the file must be, hex'),
    dataset_guid: text('the GUID of the ZFS dataset'),
    storage: text('local or manta; this server has one store'),
    index: exactIndex,
    source: text('a URL selects another operation'),
  },
  body: 'bytes',
  answers: AN_IMAGE,
  handle: ({ request, service, viewer, image, parameters }) =>
    addImageFile(service.images, image, viewer, parameters, request.file()),
})

/** Reference contract, 8.8. Files of disabled images are served too: an installed image may need its origin again. */
export const getImageFile = operation({
  name: 'GetImageFile',
  method: 'GET',
  path: '/images/:uuid/file',
  access: 'read',
  image: 'readable',
  summary: 'Returns the file of an image, or a range of it.',
  parameters: { index },
  answers: BYTES,
  async handle({ request, service, image, parameters }) {
    const { images, accel } = service
    const file = fileAt(image, parameters.index)
    const md5 = await images.files.md5(image.uuid, file)
    return sendFile(request.exchange, images.policy.stallTimeout, {
      size: file.size,
      contentType: 'application/octet-stream',
      md5: md5 && Buffer.from(md5, 'hex').toString('base64'),
      // Clients of the reference may send the ETag of the manifest; others send that of the file.
      resource: { etags: [file.sha1, request.etagOf(image)], modified: new Date(file.mtime) },
      headers: { 'Content-Disposition': `attachment; filename="${downloadName(image, file)}"` },
      accel: accelHeaders(accel, image.uuid, file),
      open: () => openStored(images, image.uuid, file),
    })
  },
})

/** Returns a file name as `imgadm create` makes it. Slashes and spaces in the name of the image are replaced. */
const downloadName = ({ name, version }: Image, { compression }: ImageFile) =>
  `${`${name}-${version}`.replace(/[^A-Za-z0-9._+-]/g, '_')}.zfs${EXTENSION[compression]}`
