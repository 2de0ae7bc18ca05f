import { z } from 'zod'
import { UUID } from '../../images/fields.ts'
import type { Image } from '../../images/image.ts'
import { imagesOf } from '../../images/listing.ts'
import { listScope, readableImage, type Viewer } from '../../images/visibility.ts'
import type { ApiRequest } from '../api-request.ts'
import { operation } from '../operation.ts'
import { DatasetSchema } from './schemas.ts'

/**
 * The reads of the Dataset API, which the Image API replaced in 2012 (contract of dsapid, 5.1). Old clients and
 * `imgadm sources -a -t dsapi` request them. They follow no redirects, so the answer is sent at these paths.
 */

/** Returns a manifest in the format of the Dataset API, with its field names and with absolute URLs of files. */
async function toDataset(request: ApiRequest, image: Image): Promise<Record<string, unknown>> {
  const manifest = JSON.parse(request.rendered(image).body)
  // The URL of a file must name the channel that the image was requested from.
  const channel = request.query.get('channel')
  const files = await Promise.all(
    image.files.map(async (file, index) => {
      const parameters = new URLSearchParams({
        ...(index > 0 && { index: `${index}` }),
        ...(channel && { channel }),
      })
      const path = `${image.uuid}/file${parameters.size > 0 ? `?${parameters}` : ''}`
      const md5 = await request.service.images.files.md5(image.uuid, file)
      const { sha1, size, compression } = file
      return {
        path,
        url: `${request.baseUrl()}/images/${path}`,
        sha1,
        size,
        compression,
        ...(md5 && { md5 }),
      }
    }),
  )
  return {
    ...manifest,
    creator_uuid: image.owner,
    vendor_uuid: image.owner,
    creator_name: 'smartos',
    created_at: image.published_at,
    urn: image.urn ?? `smartos:smartos:${image.name}:${image.version}`,
    files,
  }
}

/** Returns the active images that the viewer may see, of that name and version if they are given. */
const activeImages = async (request: ApiRequest, viewer: Viewer, name?: string, version?: string) => {
  const { policy, manifests } = request.service.images
  const slices = await manifests.list({
    state: 'active',
    name: name === undefined ? undefined : { value: name, contains: false },
    version: version === undefined ? undefined : { value: version, contains: false },
    tags: [],
    billingTags: [],
    order: 'asc',
    ...listScope(policy, viewer),
  })
  return imagesOf(slices)
}

const dataset = { 200: { description: 'the dataset, or those of that name', schema: z.unknown() } }

export const listDatasets = operation({
  name: 'ListDatasets',
  method: 'GET',
  path: '/datasets',
  access: 'read',
  image: 'any',
  summary: 'Lists active images in the form of the old Dataset API.',
  answers: { 200: { description: 'the datasets', schema: z.array(DatasetSchema) } },
  async handle({ request, viewer }) {
    const images = await activeImages(request, viewer)
    return request.json(await Promise.all(images.map(image => toDataset(request, image))))
  },
})

/** Finds by UUID or by URN: `name` or `name:version`, optionally after `cloud:creator:`. */
export const getDataset = operation({
  name: 'GetDataset',
  method: 'GET',
  path: '/datasets/:arg',
  access: 'read',
  image: 'any',
  summary: 'Returns an image by UUID, or those of a name, in the form of the old Dataset API.',
  answers: dataset,
  async handle({ request, service, viewer }) {
    const name = request.param('arg')
    if (UUID.test(name)) {
      return request.json(await toDataset(request, await readableImage(service.images, name, viewer)))
    }
    const words = name.split(':')
    const [imageName, version] = words.length > 2 ? words.slice(2) : words
    const images = await activeImages(request, viewer, imageName, version)
    return request.json(await Promise.all(images.map(image => toDataset(request, image))))
  },
})
