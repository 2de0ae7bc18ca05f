import type { RemoteImage } from '../client/types.ts'
import { FIELD_NAMES } from '../images/fields.ts'
import { UsageError } from './command.ts'

/** What of an image stands in a column, by the names of imgadm where it has one. */

const DERIVED: Record<string, (image: RemoteImage) => unknown> = {
  published: ({ published_at }) => published_at?.slice(0, 10),
  pub: ({ published_at }) => published_at?.slice(0, 10),
  size: ({ files }) => files?.[0]?.size,
  sha1: ({ files }) => files?.[0]?.sha1,
  compression: ({ files }) => files?.[0]?.compression,
}

export const DEFAULT_COLUMNS = ['uuid', 'name', 'version', 'os', 'type', 'published']
export const COLUMNS = [...FIELD_NAMES, ...Object.keys(DERIVED)]

/** Fields of objects have a dot: `requirements.brand`, `tags.role`. */
const OBJECTS = /^(requirements|tags|tag|traits)\./

export const isColumn = (name: string) => COLUMNS.includes(name) || OBJECTS.test(name)

export function parseColumns(given: string | undefined): string[] {
  if (given === undefined) return DEFAULT_COLUMNS
  const names = given.split(',').map(name => name.trim())
  for (const name of names) checkColumn(name)
  return names
}

function checkColumn(name: string) {
  if (isColumn(name)) return
  throw new UsageError(`${name}: there is no such column; the columns are ${COLUMNS.join(', ')}, tags.KEY`)
}

export function fieldOf(image: RemoteImage, column: string): unknown {
  const derived = Object.hasOwn(DERIVED, column) ? DERIVED[column] : undefined
  if (derived) return derived(image)
  const [, object, key] = /^(\w+)\.(.+)$/.exec(column) ?? []
  if (object === undefined || key === undefined) return image[column]
  const values = image[object === 'tag' ? 'tags' : object]
  const isThere = typeof values === 'object' && values !== null && Object.hasOwn(values, key)
  return isThere ? (values as Record<string, unknown>)[key] : undefined
}

/** On one line, and a dash for nothing, so that rows can be cut into words. */
export function cellOf(image: RemoteImage, column: string): string {
  const value = fieldOf(image, column)
  if (value === undefined || value === null || value === '') return '-'
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  // Text of others must not steer the terminal.
  return text.replace(/\p{Cc}+/gu, ' ')
}

/** `-published,name`: newest first, and by name where that ties. */
export function comparatorFor(given: string): (a: RemoteImage, b: RemoteImage) => number {
  const keys = given.split(',').map(word => {
    const name = word.trim().replace(/^[-+]/, '')
    checkColumn(name)
    const isDate = name === 'published' || name === 'pub'
    return { name: isDate ? 'published_at' : name, sign: word.trim().startsWith('-') ? -1 : 1 }
  })
  return (a, b) => {
    for (const { name, sign } of keys) {
      const order = compare(fieldOf(a, name), fieldOf(b, name))
      if (order !== 0) return order * sign
    }
    return 0
  }
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [left, right] = [a ?? '', b ?? ''].map(value =>
    typeof value === 'object' ? JSON.stringify(value) : String(value),
  ) as [string, string]
  return left < right ? -1 : left > right ? 1 : 0
}

/** Of each owner's images of a name the one that was published last. */
export function latestOf(images: readonly RemoteImage[]): RemoteImage[] {
  const latest = new Map<string, RemoteImage>()
  for (const image of images) {
    const key = JSON.stringify([image.owner, image.name])
    const best = latest.get(key)
    if (!best || (best.published_at ?? '') <= (image.published_at ?? '')) latest.set(key, image)
  }
  return images.filter(image => latest.get(JSON.stringify([image.owner, image.name])) === image)
}
