import { createHash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { Renderings } from '../../src/http/renderings.ts'
import type { Image, View } from '../../src/images/image.ts'
import { imagesOf, type ListQuery } from '../../src/images/listing.ts'
import { Catalogue } from '../../src/storage/catalogue.ts'
import { until } from '../support/until.ts'

const MIB = 1024 * 1024
const CHUNK = 16
const QUERY: ListQuery = { state: 'all', tags: [], billingTags: [], order: 'asc' }
const VIEW: View = { operatorFields: true, channels: false, adminFields: false }

function uuidOf(index: number) {
  const hex = createHash('sha1').update(`${index}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** About 2 KB of JSON. */
const image = (index: number, description = 'x'): Image => ({
  ...{ v: 2, uuid: uuidOf(index), owner: uuidOf(-1), name: `image-${index}`, version: '1', disabled: false },
  ...{
    public: true,
    state: 'active',
    type: 'other',
    os: 'other',
    files: [],
    description: description.repeat(1500),
  },
  published_at: new Date(Date.UTC(2024, 0, 1) + index * 1000).toISOString(),
})

const catalogueOf = (count: number) =>
  new Catalogue(
    Array.from({ length: count }, (_, index) => ({ image: image(index), revision: 1 })),
    CHUNK,
  )

const textOf = (parts: Buffer[]) => Buffer.concat(parts).toString()

/** Also lets the engine say what it has collected, which it does later. */
async function collectGarbage() {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  await turn()
}

test('a list is the JSON of its images, in one piece, in parts and compressed', async () => {
  const renderings = new Renderings()
  for (const count of [0, 1, 5, 100]) {
    const runs = catalogueOf(count).list(QUERY)
    const list = renderings.list(runs, VIEW)
    const text = textOf(renderings.parts(runs, VIEW))
    expect(JSON.parse(text).map(({ uuid }: Image) => uuid)).toEqual(imagesOf(runs).map(({ uuid }) => uuid))
    expect(text).toBe(JSON.stringify(JSON.parse(text), null, 2))
    expect(list.length).toBe(Buffer.byteLength(text))
    expect(list.text ?? text).toBe(text)
    expect(gunzipSync(await renderings.compressed(runs, VIEW)).toString()).toBe(text)
  }
})

test('after a change only the rows that have the image in them are rendered again', () => {
  const renderings = new Renderings()
  const catalogue = catalogueOf(10 * CHUNK)
  const rows = () => renderings.parts(catalogue.list(QUERY), VIEW).filter(part => part.length > 10)
  const before = rows()
  expect(before).toHaveLength(10)
  catalogue.put({ image: image(3 * CHUNK + 1, 'y'), revision: 2 })
  const after = rows()
  const again = after.flatMap((part, index) => (part.buffer === before[index]!.buffer ? [] : [index]))
  expect(again).toEqual([3])
  expect(after[3]!.toString()).toContain('yyyy')
})

test('what was rendered is not rendered again, and goes with what it was made of', async () => {
  const renderings = new Renderings()
  const catalogue = catalogueOf(40)
  const ask = async () => {
    const runs = catalogue.list(QUERY)
    expect(renderings.list(runs, VIEW)).toBe(renderings.list(runs, VIEW))
    renderings.image(catalogue.get(uuidOf(7))!.image, VIEW)
    expect(await renderings.compressed(runs, VIEW)).toBe(await renderings.compressed(runs, VIEW))
  }
  await ask()
  const live = renderings.size
  expect(live).toBeGreaterThan(40 * 1500)
  for (let round = 0; round < 1000; round++) {
    catalogue.put({ image: image(round % 40, 'abc'[round % 3]), revision: round })
    await ask()
  }
  await until('all that was replaced to be collected', async () => {
    await collectGarbage()
    return renderings.size < 2 * live
  })
  await ask()
  expect(renderings.size).toBeGreaterThan(live / 2)
})

test('all that is kept is counted and stays below the limit, whatever is asked for', async () => {
  const limit = MIB / 2
  const renderings = new Renderings(limit)
  // Twice the limit, and all of it is in use.
  const catalogue = catalogueOf(512)
  const views = [VIEW, { ...VIEW, channels: true, defaultChannels: ['a'] }]
  let isFull = false
  for (let round = 0; round < 3; round++) {
    for (const view of views) {
      const runs = catalogue.list(QUERY)
      expect(JSON.parse(textOf(renderings.parts(runs, view)))).toHaveLength(512)
      expect(renderings.size).toBeLessThanOrEqual(limit)
      for (let index = 0; index < 512; index++) {
        const { uuid } = JSON.parse(renderings.image(catalogue.get(uuidOf(index))!.image, view).body)
        expect(uuid).toBe(uuidOf(index))
        expect(renderings.size).toBeLessThanOrEqual(limit)
        isFull ||= renderings.size > limit * 0.9
      }
      for (const name of ['image-1', 'image-2', 'image-3']) {
        const found = catalogue.list({ ...QUERY, name: { value: name, contains: true } })
        const bytes = await renderings.compressed(found, view)
        expect(gunzipSync(bytes).toString()).toBe(textOf(renderings.parts(found, view)))
        expect(renderings.size).toBeLessThanOrEqual(limit)
      }
    }
  }
  expect(isFull).toBe(true)
})

test('those who ask for a compressed list at the same time get the same bytes', async () => {
  const renderings = new Renderings()
  const runs = catalogueOf(100).list(QUERY)
  const all = await Promise.all(Array.from({ length: 20 }, () => renderings.compressed(runs, VIEW)))
  expect(new Set(all).size).toBe(1)
})
