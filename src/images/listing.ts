import { type Image, isActivated } from './image.ts'

/** The filters, order and page of ListImages, as data, so that a database could evaluate them (contract, 8.6). */
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
  /** The image must have all of them. */
  billingTags: readonly string[]
  /** Only images that this account owns or may use. */
  account?: string | undefined
  /** Only images in this channel; images without channels are in the default one. */
  channel?: { name: string; isDefault: boolean } | undefined
  order: 'asc' | 'desc'
  /** The position where the page starts, inclusive. */
  marker?: Position | undefined
  limit?: number | undefined
}

/**
 * A part of a list: the images of an array from index `from` up to, but not including, `to`. The array never changes in
 * place, so callers may cache what they derive from it. A driver returns the same array as long as no image in it
 * changes, and the same array of slices for the same query until any image changes.
 */
export interface ListSlice {
  images: readonly Image[]
  from: number
  to: number
}

/** Returns the images of a list in one array. */
export const imagesOf = (slices: readonly ListSlice[]): Image[] =>
  slices.flatMap(({ images, from, to }) => images.slice(from, to))

export interface TextMatch {
  value: string
  contains: boolean
}

/** A position in the order of all images. Without `uuid`, the first one in list order at that instant. */
export interface Position {
  /** ISO with milliseconds; the empty string for an image that was never published. */
  publishedAt: string
  uuid?: string
}

/** Adds milliseconds: `2016-01-01T00:00:00Z` and `2016-01-01T00:00:00.000Z` must sort as the same instant. */
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
 * Compares two positions: by date of publication, unpublished images first, and then by UUID, so that a client that
 * pages sees each image exactly once even if a thousand were published in one millisecond.
 */
export function comparePositions(a: Position, b: Position): number {
  if (a.publishedAt !== b.publishedAt) return a.publishedAt < b.publishedAt ? -1 : 1
  if (a.uuid === undefined || b.uuid === undefined || a.uuid === b.uuid) return 0
  return a.uuid < b.uuid ? -1 : 1
}

const matchesText = (value: string, match: TextMatch) =>
  match.contains ? value.includes(match.value) : value === match.value

/** Returns the text of a tag for comparison; objects and long strings count as empty. */
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

/** Returns whether the image is in lists of the account: its own images, and activated ones that it may use. */
function isListedFor(image: Image, { account, state }: ListQuery): boolean {
  if (account === undefined || image.owner === account) return true
  if (state === 'disabled' || !isActivated(image)) return false
  return image.public || (image.acl?.includes(account) ?? false)
}

/** Returns whether an image passes the filters of a query. */
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
