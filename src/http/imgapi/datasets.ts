import { z } from 'zod'
import { UUID } from '../../images/fields.ts'
import type { Image } from '../../images/image.ts'
import { imagesOf } from '../../images/listing.ts'
import { listScope, readableImage, type Viewer } from '../../images/visibility.ts'
import type { ApiRequest } from '../api-request.ts'
import { operation } from '../operation.ts'
import { DatasetSchema } from './schemas.ts'

/**
 * The Dataset API of before 2012, for reading (contract of dsapid, 5.1): what clients that know nothing else,
 * and `imgadm sources -a -t dsapi`, ask for. Answered in place, since they follow no redirects.
 */

/** The manifest in the old form, with the fields that had other names then; files have absolute URLs in it. */
async function toDataset(request: ApiRequest, image: Image): Promise<Record<string, unknown>> {
  const manifest = JSON.parse(request.rendered(image).body)
  // The file is in the channel in which the image was found.
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

const active = async (request: ApiRequest, viewer: Viewer, name?: string, version?: string) => {
  const { policy, manifests } = request.service.images
  const runs = await manifests.list({
    state: 'active',
    name: name === undefined ? undefined : { value: name, contains: false },
    version: version === undefined ? undefined : { value: version, contains: false },
    tags: [],
    billingTags: [],
    order: 'asc',
    ...listScope(policy, viewer),
  })
  return imagesOf(runs)
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
    const images = await active(request, viewer)
    return request.json(await Promise.all(images.map(image => toDataset(request, image))))
  },
})

/** By UUID, or by an old-style name: `name`, `name:version`, each with `cloud:creator:` before it or not. */
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
    const [wanted, version] = words.length > 2 ? words.slice(2) : words
    const images = await active(request, viewer, wanted, version)
    return request.json(await Promise.all(images.map(image => toDataset(request, image))))
  },
})
