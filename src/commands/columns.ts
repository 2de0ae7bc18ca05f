import type { RemoteImage } from '../client/types.ts'
import { FIELD_NAMES } from '../images/fields.ts'
import { UsageError } from '../util/operator-error.ts'

/** The columns of lists of images, named as in imgadm where it has them. */

const DERIVED: Record<string, (image: RemoteImage) => unknown> = {
  published: ({ published_at }) => published_at?.slice(0, 10),
  pub: ({ published_at }) => published_at?.slice(0, 10),
  size: ({ files }) => files?.[0]?.size,
  sha1: ({ files }) => files?.[0]?.sha1,
  compression: ({ files }) => files?.[0]?.compression,
}

export const DEFAULT_COLUMNS = ['uuid', 'name', 'version', 'os', 'type', 'published']
export const COLUMNS = [...FIELD_NAMES, ...Object.keys(DERIVED)]

/** Prefixes of nested fields: `requirements.brand`, `tags.role`. */
const OBJECTS = /^(requirements|tags|tag|traits)\./

/** Returns whether the name is a column, or a field of an object. */
export const isColumn = (name: string) => COLUMNS.includes(name) || OBJECTS.test(name)

/** Parses `uuid,name`. Throws UsageError. */
export function parseColumns(given: string | undefined): string[] {
  if (given === undefined) return DEFAULT_COLUMNS
  const names = given.split(',').map(name => name.trim())
  for (const name of names) checkColumn(name)
  return names
}

function checkColumn(name: string) {
  if (isColumn(name)) return
  throw new UsageError(`${name}: no such column; the columns are ${COLUMNS.join(', ')}, tags.KEY`)
}

/** Returns the value of a column, undefined if the image has none. */
export function fieldOf(image: RemoteImage, column: string): unknown {
  const derived = Object.hasOwn(DERIVED, column) ? DERIVED[column] : undefined
  if (derived) return derived(image)
  const [, object, key] = /^(\w+)\.(.+)$/.exec(column) ?? []
  if (object === undefined || key === undefined) return image[column]
  const values = image[object === 'tag' ? 'tags' : object]
  const hasKey = typeof values === 'object' && values !== null && Object.hasOwn(values, key)
  return hasKey ? (values as Record<string, unknown>)[key] : undefined
}

/** Formats a value on one line, a missing one as a dash, so that scripts can split rows into words. */
export function cellOf(image: RemoteImage, column: string): string {
  const value = fieldOf(image, column)
  if (value === undefined || value === null || value === '') return '-'
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  // Text from a server must not contain control sequences of the terminal.
  return text.replace(/\p{Cc}+/gu, ' ')
}

/** Parses `-published,name`: newest first, then by name. Throws UsageError. */
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

/** Keeps the last published image of each owner and name. */
export function latestOf(images: readonly RemoteImage[]): RemoteImage[] {
  const latest = new Map<string, RemoteImage>()
  for (const image of images) {
    const key = JSON.stringify([image.owner, image.name])
    const best = latest.get(key)
    if (!best || (best.published_at ?? '') <= (image.published_at ?? '')) latest.set(key, image)
  }
  return images.filter(image => latest.get(JSON.stringify([image.owner, image.name])) === image)
}
