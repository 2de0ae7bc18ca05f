import { z } from 'zod'
import { ImgapiError, imageNotFound, invalidParameter } from '../../images/errors.ts'
import { TYPES, UUID } from '../../images/fields.ts'
import type { Images } from '../../images/images.ts'
import {
  type ListQuery,
  type ListSlice,
  type Position,
  positionOf,
  type TextMatch,
} from '../../images/listing.ts'
import { listScope, type Viewer, visibleImage } from '../../images/visibility.ts'
import type { ApiRequest } from '../api-request.ts'
import { operation } from '../operation.ts'
import { flag, oneOf, type Parameter, repeated, text, type Values, wholeNumber } from '../parameters.ts'
import { sendList } from '../send-list.ts'
import { ManifestSchema } from './schemas.ts'

const STATES = ['active', 'disabled', 'unactivated', 'all', 'creating', 'failed'] as const

const state: Parameter<ListQuery['state']> = (() => {
  const given = oneOf(
    'the state of the images; active if left out',
    STATES,
    state => `invalid state: "${state}"`,
  )
  return { ...given, read: (query, name) => given.read(query, name) ?? 'active' }
})()

/** `published_at`, with any word but `asc` after a dot meaning descending, as the reference has it. */
const sort: Parameter<ListQuery['order']> = {
  description: 'published_at, published_at.asc or published_at.desc',
  schema: z.string(),
  read(query, name) {
    const [attribute, direction = 'asc'] = (query.get(name) ?? 'published_at').split('.')
    if (attribute !== 'published_at') {
      throw invalidParameter(name, `invalid 'sort': not a valid sorting attribute: '${attribute}'`)
    }
    return direction.toLowerCase() === 'asc' ? 'asc' : 'desc'
  },
}

const textMatch = (what: string): Parameter<TextMatch | undefined> => ({
  description: `${what}; with a ~ before it, a part of it`,
  schema: z.string(),
  read(query, name) {
    const value = query.get(name)
    if (value === undefined) return undefined
    return value.startsWith('~') ? { value: value.slice(1), contains: true } : { value, contains: false }
  },
})

const type: Parameter<ListQuery['type']> = {
  description: `${TYPES.join(', ')}; with a ! before it, every other`,
  schema: z.string(),
  read(query, name) {
    const value = query.get(name)
    if (value === undefined || value === '!') return undefined
    return value.startsWith('!') ? { value: value.slice(1), not: true } : { value, not: false }
  },
}

const tags: Parameter<[name: string, value: string][]> = {
  description: 'the value of a tag of that name',
  schema: z.string(),
  isRepeated: true,
  read: query => query.startingWith('tag.'),
}

/** The parameters, in the order in which the reference reports problems. */
const parameters = {
  limit: wholeNumber('the most images to list; 0 is no limit'),
  state,
  public: flag('public images alone, or private ones alone'),
  sort,
  name: textMatch('the name'),
  version: textMatch('the version'),
  os: text('the operating system'),
  type,
  owner: text('the UUID of the owner'),
  'tag.*': tags,
  billing_tag: repeated('a billing tag'),
  marker: text('the UUID of the image, or the date, to begin with'),
}

/** The empty list, always the same array, so that its rendering is cached. */
const EMPTY_LIST: readonly ListSlice[] = []

/** Lists manifests (reference contract, 8.6): filtered, then sorted, then from the marker on, then cut. */
export const listImages = operation({
  name: 'ListImages',
  method: 'GET',
  path: '/images',
  access: 'read',
  image: 'any',
  summary: 'Lists the manifests of images, the oldest first.',
  parameters,
  answers: { 200: { description: 'the images', schema: z.array(ManifestSchema) } },
  async handle({ request, service, viewer, parameters }) {
    const fields = request.visibleFields()
    const query = await readQuery(request, viewer, parameters)
    const slices = query ? await service.images.manifests.list(query) : EMPTY_LIST
    return sendList(request, slices, fields)
  },
})

/** Returns the query; undefined if the viewer may see none of the requested images. */
async function readQuery(
  { service }: ApiRequest,
  viewer: Viewer,
  given: Values<typeof parameters>,
): Promise<ListQuery | undefined> {
  const { policy } = service.images
  const { limit, state, public: isPublic, marker } = given
  const isRestricted = !viewer.authenticated && policy.mode !== 'dc'
  const scope = listScope(policy, viewer)
  if (isRestricted && state !== 'active' && state !== 'all') return undefined
  if (scope.public && isPublic === false) return undefined
  return {
    state: isRestricted ? 'active' : state,
    name: given.name,
    version: given.version,
    os: given.os,
    type: given.type,
    owner: given.owner,
    tags: given['tag.*'],
    billingTags: given.billing_tag,
    ...scope,
    public: scope.public ?? isPublic,
    order: given.sort,
    marker: marker === undefined ? undefined : await findMarker(service.images, marker, viewer),
    limit: limit === 0 ? undefined : limit,
  }
}

/** Returns the position of a marker: the UUID of an image, or a date. Throws ResourceNotFound or InvalidParameter. */
async function findMarker(images: Images, marker: string, viewer: Viewer): Promise<Position> {
  if (UUID.test(marker)) {
    const { image } = await visibleImage(images, marker, viewer).catch(error => {
      if (!(error instanceof ImgapiError) || error.code !== 'ResourceNotFound') throw error
      throw imageNotFound(marker)
    })
    return positionOf(image)
  }
  const time = Date.parse(marker)
  if (Number.isNaN(time)) {
    const message = `invalid value for "marker" param: "${marker}" is not a UUID or date string`
    throw invalidParameter('marker', message)
  }
  return { publishedAt: new Date(time).toISOString() }
}
