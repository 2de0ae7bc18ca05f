import { describe, expect, test } from 'vitest'
import type { Local, Upstream } from '../../../src/imports/mirror/action.ts'
import { digestOf } from '../../../src/imports/mirror/digest.ts'
import { asMirrored, makePlan } from '../../../src/imports/mirror/plan.ts'
import { emptyRecord, type MirrorRecord } from '../../../src/imports/mirror/record.ts'
import { select } from '../../../src/imports/mirror/select.ts'
import type { Action } from '../../../src/imports/mirror/status.ts'
import type { Manifest } from '../../../src/sources/imgapi/reader.ts'
import { fc } from '../../support/properties.ts'

const ALL: Parameters<typeof makePlan>[3] = { include: [], exclude: [], onDelete: 'delete' }

const uuidOf = (index: number) => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`

const image = (index: number, changes: Record<string, unknown> = {}): Manifest => ({
  uuid: uuidOf(index),
  name: `name${index % 3}`,
  version: String(index),
  state: 'active',
  disabled: false,
  published_at: new Date(index * 1000).toISOString(),
  files: [{ sha1: String(index), size: 10 }],
  ...changes,
})

const mapOf = (images: readonly Manifest[]) => new Map(images.map(one => [String(one.uuid), one]))
const localOf = (images: readonly Manifest[]): Local =>
  new Map(images.map(manifest => [String(manifest.uuid), { manifest, isActivated: true }]))

/** A forest: each image may be made from one before it. Each is there, here, both or neither, and ours or not. */
const world = fc
  .array(
    fc.record({
      parent: fc.option(fc.nat(20), { nil: undefined }),
      isThere: fc.boolean(),
      isHere: fc.boolean(),
      isOurs: fc.boolean(),
      isRemoved: fc.boolean(),
      isMaking: fc.boolean(),
    }),
    { maxLength: 15 },
  )
  .map(parts => {
    const manifests = parts.map(({ parent }, index) =>
      image(index, parent !== undefined && parent < index ? { origin: uuidOf(parent) } : {}),
    )
    const pick = (isPicked: (part: (typeof parts)[number]) => boolean) =>
      manifests.filter((_, index) => isPicked(parts[index]!))
    const record: MirrorRecord = emptyRecord('http://source/')
    for (const one of pick(({ isOurs }) => isOurs)) record.images[String(one.uuid)] = asMirrored(one, false)
    record.removed = pick(({ isRemoved, isOurs }) => isRemoved && !isOurs).map(({ uuid }) => String(uuid))
    record.making = pick(({ isMaking, isOurs }) => isMaking && !isOurs).map(({ uuid }) => String(uuid))
    const there = mapOf(pick(({ isThere }) => isThere))
    const gone = new Set(manifests.map(({ uuid }) => String(uuid)).filter(uuid => !there.has(uuid)))
    const upstream: Upstream = { images: there, gone }
    return { upstream, local: localOf(pick(({ isHere }) => isHere)), record }
  })

const of = (actions: readonly Action[], kind: Action['action']) =>
  actions.filter(({ action }) => action === kind).map(({ uuid }) => uuid)

describe('whatever is there and here', () => {
  test('an import has its origin here or before it, and what was deleted by hand does not come', () => {
    fc.assert(
      fc.property(world, ({ upstream, local, record }) => {
        const { actions } = makePlan(upstream, local, record, ALL)
        const here = new Set(local.keys())
        for (const uuid of of(actions, 'import')) {
          const { origin } = upstream.images.get(uuid)!
          if (origin !== undefined) expect(here).toContain(origin)
          expect(record.removed).not.toContain(uuid)
          // It was imported and is gone: a user deleted it.
          expect(record.images[uuid] === undefined || record.making.includes(uuid)).toBe(true)
          here.add(uuid)
        }
      }),
    )
  })

  test('only the mirror’s own images are deleted, and none that another is made from', () => {
    fc.assert(
      fc.property(world, ({ upstream, local, record }) => {
        const { actions } = makePlan(upstream, local, record, ALL)
        const left = new Map(local)
        const coming = of(actions, 'import').map(uuid => upstream.images.get(uuid)!.origin)
        for (const uuid of of(actions, 'delete')) {
          expect(uuid in record.images || record.making.includes(uuid)).toBe(true)
          left.delete(uuid)
          expect([...left.values()].map(({ manifest }) => manifest.origin)).not.toContain(uuid)
          expect(coming).not.toContain(uuid)
        }
      }),
    )
  })

  test('a plan that has been carried out leaves nothing to do', () => {
    fc.assert(
      fc.property(world, ({ upstream, local, record }) => {
        const first = makePlan(upstream, local, record, ALL)
        const after = new Map(local)
        const next = { ...first.record, images: { ...first.record.images }, making: [] }
        for (const uuid of of(first.actions, 'import')) {
          after.set(uuid, { manifest: upstream.images.get(uuid)!, isActivated: true })
          next.images[uuid] = asMirrored(upstream.images.get(uuid)!, false)
        }
        for (const uuid of of(first.actions, 'delete')) {
          after.delete(uuid)
          delete next.images[uuid]
        }
        const second = makePlan(upstream, after, next, ALL)
        expect(second.actions.filter(({ action }) => action !== 'skip')).toEqual([])
      }),
    )
  })
})

test('images that are their own origins, over whichever way, do not come, and the plan ends', () => {
  const circle = [image(1, { origin: uuidOf(2) }), image(2, { origin: uuidOf(1) }), image(3)]
  const { actions } = makePlan({ images: mapOf(circle), gone: new Set() }, new Map(), emptyRecord('x'), ALL)
  expect(of(actions, 'import')).toEqual([uuidOf(3)])
  expect(of(actions, 'skip').sort()).toEqual([uuidOf(1), uuidOf(2)])
})

test('a digest depends neither on the order of keys nor on what each server says for itself', () => {
  const one = { name: 'a', tags: { x: 1, y: [2, { z: 3, w: 4 }] }, state: 'active', icon: true }
  const other = { icon: false, tags: { y: [2, { w: 4, z: 3 }], x: 1 }, name: 'a', channels: ['dev'] }
  expect(digestOf(one)).toBe(digestOf(other))
  expect(digestOf({ ...one, description: 'new' })).not.toBe(digestOf(one))
})

test('the newest are counted for each name, without the disabled, and an asterisk is any text and nothing else', () => {
  const images = Array.from({ length: 9 }, (_, index) => image(index))
  const disabled = image(10, { name: 'name0', state: 'disabled', disabled: true })
  const versions = (include: Parameters<typeof select>[1]['include']) =>
    select([...images, disabled], { include, exclude: [] }).map(({ version }) => version)
  expect(versions([{ newest: 1 }])).toEqual(['6', '7', '8'])
  expect(versions([{ newest: 2, name: 'name0' }])).toEqual(['3', '6'])
  expect(versions([{ name: 'n*0' }])).toEqual(['0', '3', '6', '10'])
  expect(versions([{ name: 'name.' }])).toEqual([])
})

test('a chain of any length is planned, comes as far as an import would, and each reason stays short', () => {
  const length = 20_000
  const chain = Array.from({ length }, (_, index) =>
    image(index, index > 0 ? { origin: uuidOf(index - 1) } : {}),
  )
  // The newest first, so that each image is judged before its origins would be by themselves.
  const there = mapOf([...chain].reverse())
  const include = [{ name: 'name1', publishedAfter: new Date((length - 5) * 1000).toISOString() }]
  const tops = makePlan({ images: there, gone: new Set() }, new Map(), emptyRecord('x'), { ...ALL, include })
  expect(of(tops.actions, 'import')).toHaveLength(100)
  const all = makePlan({ images: there, gone: new Set() }, new Map(), emptyRecord('x'), ALL)
  expect(of(all.actions, 'import')).toEqual(chain.slice(0, 100).map(({ uuid }) => uuid))
  const skipped = all.actions.filter(({ action }) => action === 'skip')
  expect(skipped).toHaveLength(length - 100)
  for (const { reason } of skipped) expect(reason).toMatch(/^.{0,150}has too many origins$/)

  const record = emptyRecord('x')
  for (const one of chain) record.images[String(one.uuid)] = asMirrored(one, false)
  const gone = new Set(chain.map(({ uuid }) => String(uuid)))
  const { actions } = makePlan({ images: new Map(), gone }, localOf(chain), record, ALL)
  expect(of(actions, 'delete')).toEqual([...chain].reverse().map(({ uuid }) => uuid))
})
