import type { Route } from '../../http/router.ts'
import { badRequest } from '../../images/errors.ts'
import { deleteImage } from '../../images/remove.ts'
import { isLive } from '../../imports/jobs/job.ts'
import { KeyedMutex } from '../../util/keyed-mutex.ts'
import { downloadImage } from './download.ts'
import { fetchImage } from './fetch.ts'
import { findImage, listAll } from './find.ts'
import { isMistifyType } from './record.ts'
import type { MistifyRequest } from './request.ts'
import { uploadImage } from './upload.ts'

/** An operation of the API of mistify-image-service. */
export interface Operation extends Route {
  handle(request: MistifyRequest): Promise<Response>
}

/** Lists images. A type of letters only must be valid; any other value is ignored, as in the original. */
async function listImages(request: MistifyRequest): Promise<Response> {
  const given = request.query.get('type') ?? ''
  const type = /^[A-Za-z]+$/.test(given) ? given : undefined
  if (type !== undefined && !isMistifyType(type)) throw badRequest('invalid type')
  return request.json(await listAll(request, type))
}

/** Deletes an image or a fetch; cancels the fetch if it is under way. Answers with the deleted record. */
async function removeImage(request: MistifyRequest): Promise<Response> {
  const { images, jobs } = request.context
  const { record, job } = await findImage(request, request.id)
  if (job) {
    if (isLive(job)) await jobs.cancel(job.uuid)
    if (jobs.list().includes(job)) await jobs.cancel(job.uuid)
  }
  // The fetch may have completed before it was cancelled.
  const isComplete = (await images.manifests.find(request.id)) !== undefined
  if (isComplete) await deleteImage(images, request.id, request.viewer, true)
  return request.json(record)
}

/** Returns the operations, with a mutex of their own. */
export const operations = (): readonly Operation[] => {
  const mutex = new KeyedMutex()
  return [
    {
      name: 'ListImages',
      method: 'GET',
      path: '/images',
      access: 'read',
      summary: 'Lists images and fetches.',
      handle: listImages,
    },
    {
      name: 'FetchImage',
      method: 'POST',
      path: '/images',
      access: 'change',
      summary: 'Starts a fetch of an image by the server.',
      handle: fetchImage(mutex),
    },
    {
      name: 'UploadImage',
      method: 'PUT',
      path: '/images',
      access: 'change',
      summary: 'Uploads an image.',
      handle: uploadImage,
    },
    {
      name: 'GetImage',
      method: 'GET',
      path: '/images/:id',
      access: 'read',
      summary: 'Returns the record of an image.',
      handle: async request => request.json((await findImage(request, request.id)).record),
    },
    {
      name: 'DeleteImage',
      method: 'DELETE',
      path: '/images/:id',
      access: 'change',
      summary: 'Deletes an image, and cancels its fetch.',
      handle: removeImage,
    },
    {
      name: 'DownloadImage',
      method: 'GET',
      path: '/images/:id/download',
      access: 'read',
      summary: 'Returns the bytes of an image, or a range of them.',
      handle: downloadImage,
    },
  ]
}
