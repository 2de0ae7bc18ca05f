import { ImgapiError, invalidParameter } from '../../images/errors.ts'
import { UUID } from '../../images/fields.ts'
import { type ListQuery, type Position, positionOf, type Run, type TextMatch } from '../../images/listing.ts'
import { listScope, type Viewer, visibleImage } from '../../images/visibility.ts'
import type { ApiRequest } from '../api-request.ts'
import type { Operation } from '../operation.ts'
import type { Query } from '../query.ts'
import { sendList } from '../send-list.ts'

const STATES = ['active', 'disabled', 'unactivated', 'all', 'creating', 'failed'] as const

/** One array, so that what is rendered of it is kept. */
const NOTHING: readonly Run[] = []

/** Lists manifests (reference contract, 8.6): filtered, then sorted, then from the marker on, then cut. */
export const listImages: Operation = {
  name: 'ListImages',
  method: 'GET',
  path: '/images',
  async handle(request) {
    await request.identify()
    const viewer = request.viewer({ everyChannel: true })
    const view = request.view()
    const query = await readQuery(request, viewer)
    const runs = query ? await request.service.images.manifests.list(query) : NOTHING
    return sendList(request, runs, view)
  },
}

/** Undefined if there can be nothing to see. */
async function readQuery(request: ApiRequest, viewer: Viewer): Promise<ListQuery | undefined> {
  const { query, service } = request
  const { policy } = service.images
  const limit = readLimit(query)
  const state = readState(query)
  const isPublic = query.flag('public')
  const order = readOrder(query)
  const isRestricted = !viewer.authenticated && policy.mode !== 'dc'
  const scope = listScope(policy, viewer)
  if (isRestricted && state !== 'active' && state !== 'all') return undefined
  if (scope.public && isPublic === false) return undefined
  return {
    state: isRestricted ? 'active' : state,
    name: readText(query, 'name'),
    version: readText(query, 'version'),
    os: query.get('os'),
    type: readType(query),
    owner: query.get('owner'),
    tags: query.startingWith('tag.'),
    billingTags: query.all('billing_tag'),
    ...scope,
    public: scope.public ?? isPublic,
    order,
    marker: await readMarker(request, viewer),
    limit,
  }
}

function readLimit(query: Query): number | undefined {
  const given = query.get('limit')
  const limit = Number(given ?? 0)
  if (!Number.isInteger(limit) || limit < 0) throw invalidParameter('limit', `invalid limit: "${given}"`)
  return limit === 0 ? undefined : limit
}

function readState(query: Query): ListQuery['state'] {
  const given = query.get('state') ?? 'active'
  const state = STATES.find(candidate => candidate === given)
  if (!state) throw invalidParameter('state', `invalid state: "${given}"`)
  return state
}

/** `published_at`, with any word but `asc` after a dot meaning descending, as the reference has it. */
function readOrder(query: Query): ListQuery['order'] {
  const [attribute, direction = 'asc'] = (query.get('sort') ?? 'published_at').split('.')
  if (attribute !== 'published_at') {
    throw invalidParameter('sort', `invalid 'sort': not a valid sorting attribute: '${attribute}'`)
  }
  return direction.toLowerCase() === 'asc' ? 'asc' : 'desc'
}

function readText(query: Query, name: string): TextMatch | undefined {
  const value = query.get(name)
  if (value === undefined) return undefined
  return value.startsWith('~') ? { value: value.slice(1), contains: true } : { value, contains: false }
}

function readType(query: Query): ListQuery['type'] {
  const value = query.get('type')
  if (value === undefined || value === '!') return undefined
  return value.startsWith('!') ? { value: value.slice(1), not: true } : { value, not: false }
}

/** An image's UUID, whose place it is, or a date. */
async function readMarker(request: ApiRequest, viewer: Viewer): Promise<Position | undefined> {
  const marker = request.query.get('marker')
  if (marker === undefined) return undefined
  if (UUID.test(marker)) {
    const { image } = await visibleImage(request.service.images, marker, viewer).catch(error => {
      if (!(error instanceof ImgapiError) || error.code !== 'ResourceNotFound') throw error
      throw new ImgapiError('ResourceNotFound', `image ${marker} not found`)
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
