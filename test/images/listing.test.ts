import { describe, expect, test } from 'vitest'
import type { Image } from '../../src/images/image.ts'
import { comparePositions, imagesOf, type ListQuery, matches, positionOf } from '../../src/images/listing.ts'
import { Catalogue } from '../../src/storage/catalogue.ts'
import { fc } from '../support/properties.ts'

/** Lists: one order for all clients, and pages that lose nothing. */

const image = (fields: Partial<Image>): Image => ({
  ...{ v: 2, uuid: 'u', owner: 'o', name: 'n', version: '1', disabled: false, public: false },
  ...{ state: 'active', type: 'other', os: 'other', files: [] },
  ...fields,
})

const uuid = fc.uuid()
// Few instants, so that many images share one; with and without milliseconds, which must not matter.
const published = fc.constantFrom(
  undefined,
  '2016-01-01T00:00:00Z',
  '2016-01-01T00:00:00.000Z',
  '2016-01-01T00:00:00.001Z',
)
const collection = fc
  .uniqueArray(fc.record({ uuid, published_at: published, public: fc.boolean() }), {
    selector: ({ uuid }) => uuid,
    maxLength: 40,
  })
  .map(list => list.map(fields => image(fields)))

const ALL: ListQuery = { state: 'all', tags: [], billingTags: [], order: 'asc' }
const order = fc.constantFrom('asc' as const, 'desc' as const)
const uuids = (images: readonly Image[]) => images.map(one => one.uuid)
/** So small that forty images make many chunks. */
const CHUNK = 3
const catalogue = (images: Image[]) =>
  new Catalogue(
    images.map(one => ({ image: one, revision: 1 })),
    CHUNK,
  )
const listed = (from: Catalogue, query: ListQuery) => imagesOf(from.list(query))

describe('order', () => {
  const position = fc.record({
    publishedAt: published.map(at => positionOf({ published_at: at, uuid: '' }).publishedAt),
    uuid,
  })

  test('is total: of two positions one is first, and going on keeps it so', () => {
    fc.assert(
      fc.property(position, position, position, (a, b, c) => {
        expect(Math.sign(comparePositions(a, b)) + Math.sign(comparePositions(b, a))).toBe(0)
        expect(comparePositions(a, b) === 0).toBe(a.publishedAt === b.publishedAt && a.uuid === b.uuid)
        if (comparePositions(a, b) <= 0 && comparePositions(b, c) <= 0) {
          expect(comparePositions(a, c)).toBeLessThanOrEqual(0)
        }
      }),
    )
  })

  test('does not depend on the order in which images came', () => {
    fc.assert(
      fc.property(
        collection.chain(images =>
          fc.tuple(fc.constant(images), fc.shuffledSubarray(images, { minLength: images.length })),
        ),
        ([images, shuffled]) => {
          const grown = new Catalogue([], CHUNK)
          for (const one of shuffled) grown.put({ image: one, revision: 1 })
          expect(uuids(listed(grown, ALL))).toEqual(uuids(listed(catalogue(images), ALL)))
          expect(uuids(listed(grown, { ...ALL, order: 'desc' }))).toEqual(uuids(listed(grown, ALL)).reverse())
        },
      ),
    )
  })

  test('stays right while images change their date, their UUIDs come and go', () => {
    const step = fc.record({ index: fc.nat(9), published_at: published, gone: fc.boolean() })
    fc.assert(
      fc.property(fc.uniqueArray(uuid, { minLength: 10, maxLength: 10 }), fc.array(step), (ids, steps) => {
        const grown = new Catalogue([], CHUNK)
        const model = new Map<string, Image>()
        for (const { index, published_at, gone } of steps) {
          const one = image({ uuid: ids[index]!, published_at })
          if (gone) {
            grown.delete(one.uuid)
            model.delete(one.uuid)
          } else {
            grown.put({ image: one, revision: 1 })
            model.set(one.uuid, one)
          }
        }
        expect(uuids(listed(grown, ALL))).toEqual(uuids(listed(catalogue([...model.values()]), ALL)))
        expect(grown.size).toBe(model.size)
      }),
    )
  })
})

describe('pages', () => {
  test('of any size, each from the last image of the one before, show each image exactly once', () => {
    fc.assert(
      fc.property(
        collection,
        fc.integer({ min: 2, max: 7 }),
        order,
        fc.constantFrom(undefined, true),
        (images, limit, order, isPublic) => {
          const whole = catalogue(images)
          const query: ListQuery = { ...ALL, order, public: isPublic }
          const seen: Image[] = []
          for (;;) {
            const last = seen.at(-1)
            const page = listed(whole, { ...query, limit, ...(last && { marker: positionOf(last) }) })
            expect(page.length).toBeLessThanOrEqual(limit)
            // The marker is inclusive, and clients drop it.
            if (last) expect(page[0]).toBe(last)
            seen.push(...page.slice(last ? 1 : 0))
            if (page.length < limit) break
          }
          expect(uuids(seen)).toEqual(uuids(listed(whole, query)))
          expect(new Set(seen).size).toBe(images.filter(one => !isPublic || one.public).length)
        },
      ),
    )
  })

  test('from a date on hold exactly what was published then or later, or earlier when descending', () => {
    const publishedAt = fc.constantFrom(
      '2015-01-01T00:00:00.000Z',
      '2016-01-01T00:00:00.000Z',
      '2016-01-01T00:00:00.001Z',
    )
    fc.assert(
      fc.property(collection, publishedAt, order, (images, publishedAt, order) => {
        const whole = catalogue(images)
        const isIn = (one: Image) => {
          const at = positionOf(one).publishedAt
          return order === 'asc' ? at >= publishedAt : at <= publishedAt
        }
        const page = listed(whole, { ...ALL, order, marker: { publishedAt } })
        expect(uuids(page)).toEqual(uuids(listed(whole, { ...ALL, order }).filter(isIn)))
      }),
    )
  })

  test('are cut after filters, not before', () => {
    const images = ['1', '2', '3'].map(n => image({ uuid: n, name: n }))
    const found = listed(catalogue(images), { ...ALL, name: { value: '3', contains: false }, limit: 1 })
    expect(uuids(found)).toEqual(['3'])
  })
})

describe('filters', () => {
  const tags = {
    text: 'a',
    number: 5,
    yes: true,
    none: null,
    list: [1],
    long: 'x'.repeat(101),
    edge: 'x'.repeat(100),
  }
  const tagged = image({ tags })

  test.for([
    ['text', 'a', true],
    ['text', 'A', false],
    ['number', '5', true],
    ['number', '5.0', false],
    ['yes', 'true', true],
    ['none', '', true],
    ['none', 'null', false],
    ['list', '', true],
    ['long', '', true],
    ['edge', 'x'.repeat(100), true],
    ['absent', '', false],
    ['constructor', '', false],
  ] as const)('tag.%s=%s: %s', ([key, value, expected]) => {
    expect(matches(tagged, { ...ALL, tags: [[key, value]] })).toBe(expected)
  })

  const one = image({
    ...{ name: 'base-64', version: '1.2.3', os: 'linux', type: 'zvol', owner: 'alice', acl: ['bob'] },
    ...{ tags: { role: 'db' }, billing_tags: ['gold', 'blue'], channels: ['dev'] },
  })

  type Choices = { [Key in keyof ListQuery]?: [value: ListQuery[Key], isFound: boolean][] }

  /** Values of each filter, and whether that image has what they ask for. */
  const CHOICES: Choices = {
    state: [
      ['all', true],
      ['active', true],
      ['disabled', false],
      ['unactivated', false],
      ['creating', false],
      ['failed', false],
    ],
    name: [
      [{ value: 'base-64', contains: false }, true],
      [{ value: 'base', contains: false }, false],
      [{ value: 'se-6', contains: true }, true],
      [{ value: 'BASE', contains: true }, false],
      [{ value: '', contains: true }, true],
      [{ value: '', contains: false }, false],
    ],
    version: [
      [{ value: '1.2.3', contains: false }, true],
      [{ value: '1.2', contains: false }, false],
      [{ value: '.2.', contains: true }, true],
      [{ value: '2.1', contains: true }, false],
    ],
    os: [
      ['linux', true],
      ['other', false],
    ],
    type: [
      [{ value: 'zvol', not: false }, true],
      [{ value: 'other', not: false }, false],
      [{ value: 'zvol', not: true }, false],
      [{ value: 'other', not: true }, true],
    ],
    owner: [
      ['alice', true],
      ['bob', false],
    ],
    public: [
      [false, true],
      [true, false],
    ],
    account: [
      ['alice', true],
      ['bob', true],
      ['carol', false],
    ],
    channel: [
      [{ name: 'dev', isDefault: false }, true],
      [{ name: 'release', isDefault: true }, false],
    ],
    tags: [
      [[['role', 'db']], true],
      [[['role', 'web']], false],
      [
        [
          ['role', 'db'],
          ['size', ''],
        ],
        false,
      ],
    ],
    billingTags: [
      [['gold'], true],
      [['blue', 'gold'], true],
      [['gold', 'red'], false],
    ],
  }

  const alone = Object.entries(CHOICES).flatMap(([key, choices]) =>
    choices.map(([value, isFound]) => [key, JSON.stringify(value), value, isFound] as const),
  )

  test.for(alone)('%s: %s', ([key, , value, isFound]) => {
    expect(matches(one, { ...ALL, [key]: value })).toBe(isFound)
  })

  test('an image is found if it has what every filter asks for', () => {
    const arbitraries = Object.entries(CHOICES).map(([key, choices]) => [key, fc.constantFrom(...choices)])
    const some = fc.record(Object.fromEntries(arbitraries), { requiredKeys: [] })
    fc.assert(
      fc.property(some, chosen => {
        const choices = Object.entries(chosen as Record<string, [unknown, boolean]>)
        const query = Object.fromEntries(choices.map(([key, [value]]) => [key, value]))
        expect(matches(one, { ...ALL, ...query })).toBe(choices.every(([, [, isFound]]) => isFound))
      }),
      { numRuns: 1000 },
    )
  })
})

describe('identity', () => {
  const change = fc.record({ index: fc.nat(49), kind: fc.constantFrom('put' as const, 'delete' as const) })
  const query = fc.record({
    state: fc.constantFrom('all' as const, 'active' as const),
    public: fc.constantFrom(undefined, true),
    order,
  })

  test('the same arrays come again as long as nothing in them changes, and none changes in place', () => {
    fc.assert(
      fc.property(collection, fc.array(change, { maxLength: 10 }), query, (images, changes, some) => {
        const all = [...images]
        const from = catalogue(all)
        const wanted = { ...ALL, ...some }
        for (const { index, kind } of changes) {
          const before = from.list(wanted)
          expect(from.list({ ...wanted })).toBe(before)
          const contents = before.map(run => [...run.images])
          const chosen = all[index % (all.length || 1)]
          if (!chosen) return
          if (kind === 'delete') from.delete(chosen.uuid)
          else from.put({ image: { ...chosen, description: `${index}` }, revision: 2 })
          if (kind === 'delete') all.splice(all.indexOf(chosen), 1)
          else all[all.indexOf(chosen)] = from.get(chosen.uuid)!.image
          expect(before.map(run => [...run.images])).toEqual(contents)
          // One chunk is another one now, or two, if it was divided.
          const after = from.list(wanted).map(run => run.images)
          const isNew = (array: readonly Image[]) => !before.some(run => run.images === array)
          expect(after.filter(isNew).length).toBeLessThanOrEqual(2)
        }
      }),
    )
  })
})
