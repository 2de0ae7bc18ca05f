import { asText } from '../../images/rules.ts'
import type { Manifest } from '../../sources/imgapi/reader.ts'
import type { Filter, IncludeFilter, MirrorSettings } from './settings.ts'

/** Selects the images of a source to mirror; their origins are imported with them. */

export const isActivatedThere = ({ state, disabled }: Manifest) =>
  state === 'active' || state === 'disabled' || (state === undefined && disabled !== undefined)

export const isDisabledThere = ({ state, disabled }: Manifest) => state === 'disabled' || disabled === true

/** Images of unknown date are the oldest. */
const publishedAt = ({ published_at }: Manifest) => {
  const time = typeof published_at === 'string' ? Date.parse(published_at) : Number.NaN
  return Number.isNaN(time) ? Number.NEGATIVE_INFINITY : time
}

/** Oldest first; by UUID where that ties. */
export const byPublication = (a: Manifest, b: Manifest) => {
  const [first, second] = [publishedAt(a), publishedAt(b)]
  return first === second ? (String(a.uuid) < String(b.uuid) ? -1 : 1) : first < second ? -1 : 1
}

/** Returns a function that tests a value; `*` stands for any characters. */
function globTest(glob: string): (value: unknown) => boolean {
  const parts = glob.split(/\*+/).map(part => part.replace(/[\\^$.+?()[\]{}|]/g, '\\$&'))
  const pattern = new RegExp(`^${parts.join('.*')}$`, 's')
  return value => {
    const name = asText(value)
    return typeof name === 'string' && pattern.test(name)
  }
}

type Test = (image: Manifest) => boolean

/** Returns a function that tests an image against a filter. */
function filterTest({ name, os, type, publishedAfter }: Filter): Test {
  const hasName = name === undefined ? () => true : globTest(name)
  return image =>
    hasName(image.name) &&
    (os === undefined || image.os === os) &&
    (type === undefined || image.type === type) &&
    (publishedAfter === undefined || publishedAt(image) > Date.parse(publishedAfter))
}

function included(images: readonly Manifest[], filter: IncludeFilter): Manifest[] {
  const matching = images.filter(filterTest(filter))
  const { newest } = filter
  if (newest === undefined) return matching
  const counts = new Map<unknown, number>()
  return matching.toReversed().filter(image => {
    if (isDisabledThere(image)) return false
    const count = (counts.get(image.name) ?? 0) + 1
    counts.set(image.name, count)
    return count <= newest
  })
}

/** Returns the activated images that match the filters, oldest first. */
export function select(
  listed: Iterable<Manifest>,
  { include, exclude }: Pick<MirrorSettings, 'include' | 'exclude'>,
): Manifest[] {
  const excluded = exclude.map(filterTest)
  const candidates = [...listed]
    .filter(image => isActivatedThere(image) && !excluded.some(test => test(image)))
    .sort(byPublication)
  const filters = include.length > 0 ? include : [{}]
  const wanted = new Set(filters.flatMap(filter => included(candidates, filter)))
  return candidates.filter(image => wanted.has(image))
}
