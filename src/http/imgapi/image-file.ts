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

/** Which file of an image, 0 unless it has several; what is not a number means 0, as in the reference. */
const index: Parameter<number> = {
  description: '0, or 1 for the second file of an image of type lxd',
  schema: z.int(),
  read(query, name) {
    const given = Number.parseInt(query.get(name) ?? '0', 10)
    return Number.isNaN(given) ? 0 : given
  },
}

/** The same of a file that is written, where a guess may replace the wrong one. */
const exactIndex: Parameter<number> = {
  ...index,
  read(query, name) {
    const given = query.get(name) ?? '0'
    if (/^\d{1,9}$/.test(given)) return Number(given)
    throw invalidParameter(name, `invalid ${name} "${given}": not a whole number`)
  },
}

/** Reference contract, 8.9. The body's Content-Type says nothing: imgadm sends application/json. */
export const addImageFileOperation = operation({
  name: 'AddImageFile',
  method: 'PUT',
  path: '/images/:uuid/file',
  access: 'change',
  image: 'own',
  summary: 'Uploads the file of an image that is not activated yet.',
  parameters: {
    compression: text('gzip, bzip2, xz or none; found out from the bytes if left out'),
    sha1: text('what the SHA-1 of the file must be, hex'),
    dataset_guid: text('the GUID of the ZFS dataset'),
    storage: text('local or manta; here is one store'),
    index: exactIndex,
    source: text('an address makes another operation of this'),
  },
  body: 'bytes',
  answers: AN_IMAGE,
  handle: ({ request, service, viewer, image, parameters }) =>
    addImageFile(service.images, image, viewer, parameters, request.file()),
})

/** Reference contract, 8.8. Disabled images too: what is installed may need its origin again. */
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
      // The reference compares with the manifest's ETag, clients with the one they were sent.
      resource: { etags: [file.sha1, request.etagOf(image)], modified: new Date(file.mtime) },
      headers: { 'Content-Disposition': `attachment; filename="${downloadName(image, file)}"` },
      accel: accelHeaders(accel, image.uuid, file),
      open: () => openStored(images, image.uuid, file),
    })
  },
})

/** The name that `imgadm create` gives to such a file; a name may have slashes and spaces, a file's may not. */
const downloadName = ({ name, version }: Image, { compression }: ImageFile) =>
  `${`${name}-${version}`.replace(/[^A-Za-z0-9._+-]/g, '_')}.zfs${EXTENSION[compression]}`
