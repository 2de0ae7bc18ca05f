import { type Image, isActivated } from './image.ts'

/** What ListImages may ask for, as data, so that a database can do the same (contract, section 8.6). */
export interface ListQuery {
  state: 'active' | 'disabled' | 'unactivated' | 'creating' | 'failed' | 'all'
  name?: TextMatch | undefined
  version?: TextMatch | undefined
  os?: string | undefined
  type?: { value: string; not: boolean } | undefined
  owner?: string | undefined
  public?: boolean | undefined
  /** `tag.KEY=VALUE`; all must match. */
  tags: readonly (readonly [key: string, value: string])[]
  /** All must be there. */
  billingTags: readonly string[]
  /** On behalf of this account: its own images and what others let it see. */
  account?: string | undefined
  /** Only this channel's; images that name no channel are in the default one. */
  channel?: { name: string; isDefault: boolean } | undefined
  order: 'asc' | 'desc'
  /** Where the page starts, that position included. */
  marker?: Position | undefined
  limit?: number | undefined
}

/**
 * A part of a list: the images of an array from one index up to another. What is made of an array may be kept for
 * as long as the array is: it never changes in place. To make that worthwhile, a driver gives the same array again
 * as long as no image in it changes, and the same array of runs for the same query until any image changes.
 */
export interface ListSlice {
  images: readonly Image[]
  from: number
  to: number
}

export const imagesOf = (runs: readonly ListSlice[]): Image[] =>
  runs.flatMap(({ images, from, to }) => images.slice(from, to))

export interface TextMatch {
  value: string
  contains: boolean
}

/** A place in the order of all images. Without `uuid`: the earliest (latest, descending) of that instant. */
export interface Position {
  /** ISO with milliseconds; the empty string stands for an image that was never published. */
  publishedAt: string
  uuid?: string
}

/** `2016-01-01T00:00:00Z` and `2016-01-01T00:00:00.000Z` are one instant and must sort as one. */
const instant = (publishedAt: string | undefined) =>
  publishedAt === undefined
    ? ''
    : publishedAt.length === 20
      ? `${publishedAt.slice(0, 19)}.000Z`
      : publishedAt

export const positionOf = (image: Pick<Image, 'published_at' | 'uuid'>): Required<Position> => ({
  publishedAt: instant(image.published_at),
  uuid: image.uuid,
})

/**
 * The order of all images: by publication, the unpublished first, and by UUID where that ties, so that a
 * client that pages sees each exactly once even if a thousand images were published in one millisecond.
 */
export function comparePositions(a: Position, b: Position): number {
  if (a.publishedAt !== b.publishedAt) return a.publishedAt < b.publishedAt ? -1 : 1
  if (a.uuid === undefined || b.uuid === undefined || a.uuid === b.uuid) return 0
  return a.uuid < b.uuid ? -1 : 1
}

const matchesText = (value: string, match: TextMatch) =>
  match.contains ? value.includes(match.value) : value === match.value

/** Tags compare in their text form; what has none (objects, long strings) counts as empty. */
function tagText(value: unknown): string {
  if (typeof value === 'string') return value.length <= 100 ? value : ''
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}

const hasTag = (image: Image, [key, value]: readonly [string, string]) =>
  image.tags !== undefined && Object.hasOwn(image.tags, key) && tagText(image.tags[key]) === value

function inState(image: Image, state: ListQuery['state']): boolean {
  if (state === 'all') return true
  if (state === 'unactivated') return !isActivated(image)
  return image.state === state
}

/** Whether the account may find the image in a list: its own, or an activated one that it may use. */
function isListedFor(image: Image, { account, state }: ListQuery): boolean {
  if (account === undefined || image.owner === account) return true
  if (state === 'disabled' || !isActivated(image)) return false
  return image.public || (image.acl?.includes(account) ?? false)
}

export function matches(image: Image, query: ListQuery): boolean {
  return (
    inState(image, query.state) &&
    (query.name === undefined || matchesText(image.name, query.name)) &&
    (query.version === undefined || matchesText(image.version, query.version)) &&
    (query.os === undefined || image.os === query.os) &&
    (query.type === undefined || (image.type === query.type.value) !== query.type.not) &&
    (query.owner === undefined || image.owner === query.owner) &&
    (query.public === undefined || image.public === query.public) &&
    (query.channel === undefined || isInChannel(image, query.channel)) &&
    query.tags.every(tag => hasTag(image, tag)) &&
    query.billingTags.every(tag => image.billing_tags?.includes(tag)) &&
    isListedFor(image, query)
  )
}

const isInChannel = (image: Image, channel: { name: string; isDefault: boolean }) =>
  image.channels ? image.channels.includes(channel.name) : channel.isDefault
