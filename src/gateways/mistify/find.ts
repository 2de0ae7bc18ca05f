import { ImgapiError, notFound } from '../../images/errors.ts'
import { UUID } from '../../images/fields.ts'
import { type Image, isAvailable } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import { imagesOf } from '../../images/listing.ts'
import { provenanceOf } from '../../images/provenance.ts'
import { listScope, seesPublicOnly, type Viewer, visibleImage } from '../../images/visibility.ts'
import type { Job } from '../../imports/jobs/job.ts'
import { fromImage, fromJob, IMAGE_TYPES, type MistifyImage, type MistifyType } from './record.ts'
import type { MistifyRequest } from './request.ts'

/** Finds what agents see as images: active images, and fetches that are under way or have failed. */

export interface Found {
  record: MistifyImage
  /** Absent for a fetch. */
  image?: Image
  /** The job of a fetch; absent for a complete image. */
  job?: Job
}

/**
 * Finds the image or the fetch of an id. Throws ResourceNotFound if it does not exist or the caller may not see it.
 */
export async function findImage(request: MistifyRequest, id: string): Promise<Found> {
  const { context, viewer } = request
  if (UUID.test(id)) {
    const fetched = fetches(request).find(({ job }) => job.image_uuid === id)
    const image = await visible(context.images, id, viewer)
    const record = image && isAvailable(image) && fromImage(image, viewer.authenticated)
    if (record) return { record, image }
    if (fetched) return fetched
  }
  throw notFound('image not found')
}

/** Returns an image that the caller may see, or undefined. */
async function visible(images: Images, id: string, viewer: Viewer): Promise<Image | undefined> {
  try {
    return (await visibleImage(images, id, viewer)).image
  } catch (error) {
    if (error instanceof ImgapiError && error.code === 'ResourceNotFound') return undefined
    throw error
  }
}

/** Lists the images and fetches, all or those of a type: images first, then fetches, the oldest first. */
export async function listAll(request: MistifyRequest, type?: MistifyType): Promise<MistifyImage[]> {
  const { authenticated } = request.viewer
  const jobs = fetches(request)
  const images = await listImages(request, 'active')
  const complete = images.flatMap(image => fromImage(image, authenticated) ?? [])
  const known = new Set(complete.map(({ id }) => id))
  const fetched = jobs.map(({ record }) => record).filter(({ id }) => !known.has(id))
  return [...complete, ...fetched].filter(record => type === undefined || record.type === type)
}

/** Finds the image or the fetch of a source, whatever its state. */
export async function findBySource(request: MistifyRequest, source: string): Promise<Found | undefined> {
  const { authenticated } = request.viewer
  const fetched = fetches(request).find(({ job }) => job.fetch?.source === source)
  for (const image of await listImages(request, 'all')) {
    if (!isAvailable(image) || provenanceOf(image)?.source !== source) continue
    const record = fromImage(image, authenticated)
    if (record) return { record, image }
  }
  return fetched
}

async function listImages(request: MistifyRequest, state: 'active' | 'all'): Promise<Image[]> {
  const { context, viewer } = request
  const { policy, manifests } = context.images
  const query = {
    state,
    tags: [],
    billingTags: [],
    order: 'asc' as const,
    ...listScope(policy, viewer),
  }
  const runs = await Promise.all(
    Object.values(IMAGE_TYPES).map(value => manifests.list({ ...query, type: { value, not: false } })),
  )
  return runs.flatMap(imagesOf)
}

/**
 * Lists the fetches that the caller may see, the oldest first. Call it before listing images: a fetch that
 * completes in between is then in both lists, and not in none.
 */
function fetches(request: MistifyRequest) {
  const { channel, authenticated } = request.viewer
  return request.context.jobs
    .list()
    .reverse()
    .filter(({ task }) => task === 'fetch-image')
    .filter(job => job.channel === channel)
    .filter(({ fetch }) => !isLimitedToPublic(request) || fetch?.manifest.public === true)
    .flatMap(job => {
      const record = fromJob(job, authenticated)
      return record ? [{ record, job }] : []
    })
}

const isLimitedToPublic = ({ context, viewer }: MistifyRequest) =>
  seesPublicOnly(context.images.policy, viewer)
