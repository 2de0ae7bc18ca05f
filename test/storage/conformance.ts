import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { PassThrough, Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { NO_OWNER } from '../../src/images/fields.ts'
import type { Image, StoredFile } from '../../src/images/image.ts'
import { imagesOf, type ListQuery } from '../../src/images/listing.ts'
import type { Files, Locks, Manifests, OpenFile, ReceiveOptions, Versioned } from '../../src/images/ports.ts'

/** What every storage driver must do, whatever it stores in. A driver's own test file is one call. */

export interface TestStorage {
  manifests: Manifests
  files: Files
  locks: Locks
  /** Closes it and opens it again, as a restart does. */
  reopen(): Promise<TestStorage>
  close(): Promise<void>
  /** After `close`: what is stored although no image needs it, and what is still open. */
  leftovers(): Promise<string[]>
}

type Open = () => Promise<TestStorage>
type Case = (storage: TestStorage) => Promise<void>

const ANY: ListQuery = { state: 'all', tags: [], billingTags: [], order: 'asc' }
const STALL = 2000

export const newImage = (changes: Partial<Image> = {}): Image => ({
  v: 2,
  uuid: randomUUID(),
  owner: NO_OWNER,
  name: 'an-image',
  version: '1.0.0',
  disabled: false,
  public: false,
  state: 'unactivated',
  type: 'zone-dataset',
  os: 'smartos',
  files: [],
  ...changes,
})

const digest = (algorithm: string, content: Buffer) => createHash(algorithm).update(content).digest('hex')

async function receive({ files }: TestStorage, content: Buffer, options: Partial<ReceiveOptions> = {}) {
  const pieces: Buffer[] = []
  for (let at = 0; at < content.length; at += 65_536) pieces.push(content.subarray(at, at + 65_536))
  return files.receive(Readable.from(pieces), { stallTimeout: STALL, ...options })
}

async function found({ manifests }: TestStorage, uuid: string): Promise<Versioned> {
  const versioned = await manifests.find(uuid)
  if (!versioned) throw new Error(`${uuid} is not there`)
  return versioned
}

/** Stores bytes and commits them as the image's only file. */
async function store(storage: TestStorage, uuid: string, content: Buffer): Promise<StoredFile> {
  const received = await receive(storage, content)
  const stored = await received.attach(uuid, 'image', '.zfs')
  const { image, revision } = await found(storage, uuid)
  expect(
    await storage.manifests.replace({ ...image, files: [{ ...stored, compression: 'none' }] }, revision),
  ).toBe(true)
  return stored
}

async function read(open: OpenFile, start = 0, end = open.size - 1): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const chunk of open.chunks(start, end)) pieces.push(Buffer.from(chunk))
  return Buffer.concat(pieces)
}

async function contentOf({ files }: TestStorage, uuid: string, file: StoredFile): Promise<Buffer> {
  const open = await files.open(uuid, file)
  try {
    return await read(open)
  } finally {
    await open.close()
  }
}

export function testStorage(name: string, open: Open) {
  const storageTest = (sentence: string, run: Case) =>
    test(sentence, async () => {
      const storage = await open()
      await run(storage)
      await storage.close()
      expect(await storage.leftovers()).toEqual([])
    })
  describe(name, () => {
    describe('manifests', () => testManifests(storageTest))
    describe('lists', () => testLists(storageTest))
    describe('a change of UUID', () => testReplacements(storageTest))
    describe('files', () => testFiles(storageTest))
    describe('reception', () => testReception(storageTest))
    describe('locks', () => testLocks(storageTest))
  })
}

type StorageTest = (sentence: string, run: Case) => void

function testManifests(storageTest: StorageTest) {
  storageTest('an image that was added is found, also after a restart', async storage => {
    const image = newImage({ tags: { role: 'db', n: 1 }, extra: { from_the_future: [1] } })
    await storage.manifests.insert(image)
    expect((await found(storage, image.uuid)).image).toEqual(image)
    const again = await storage.reopen()
    expect((await found(again, image.uuid)).image).toEqual(image)
    expect(await again.manifests.find(randomUUID())).toBeUndefined()
  })

  storageTest('a write at a revision that is no longer the current one changes nothing', async storage => {
    const image = newImage()
    await storage.manifests.insert(image)
    const { revision } = await found(storage, image.uuid)
    expect(await storage.manifests.replace({ ...image, name: 'first' }, revision)).toBe(true)
    expect(await storage.manifests.replace({ ...image, name: 'second' }, revision)).toBe(false)
    expect(await storage.manifests.remove(image.uuid, revision)).toBe(false)
    const again = await storage.reopen()
    expect((await found(again, image.uuid)).image.name).toBe('first')
  })

  storageTest('of many writes at one revision exactly one is taken', async storage => {
    const image = newImage()
    await storage.manifests.insert(image)
    const { revision } = await found(storage, image.uuid)
    const names = Array.from({ length: 10 }, (_, index) => `writer-${index}`)
    const taken = await Promise.all(
      names.map(each => storage.manifests.replace({ ...image, name: each }, revision)),
    )
    expect(taken.filter(Boolean)).toHaveLength(1)
    expect((await found(storage, image.uuid)).image.name).toBe(names[taken.indexOf(true)])
  })

  storageTest('of many inserts of one UUID exactly one is taken and the others are told', async storage => {
    const uuid = randomUUID()
    const names = Array.from({ length: 10 }, (_, index) => `writer-${index}`)
    const results = await Promise.allSettled(
      names.map(each => storage.manifests.insert(newImage({ uuid, name: each }))),
    )
    const taken = results.findIndex(result => result.status === 'fulfilled')
    expect(results.filter(result => result.status === 'fulfilled')).toHaveLength(1)
    for (const result of results) {
      if (result.status === 'rejected')
        expect(result.reason).toMatchObject({ code: 'ImageUuidAlreadyExists' })
    }
    expect((await found(storage, uuid)).image.name).toBe(names[taken])
  })

  storageTest('an image whose origin is not there is refused', async storage => {
    const insert = storage.manifests.insert(newImage({ origin: randomUUID() }))
    await expect(insert).rejects.toMatchObject({ code: 'OriginDoesNotExist' })
    expect(await storage.manifests.list(ANY)).toEqual([])
  })

  storageTest('an origin cannot be removed, and can when its last child is gone', async storage => {
    const origin = newImage()
    const child = newImage({ origin: origin.uuid })
    await storage.manifests.insert(origin)
    await storage.manifests.insert(child)
    expect((await storage.manifests.listChildren(origin.uuid)).map(({ uuid }) => uuid)).toEqual([child.uuid])
    await expect(storage.manifests.remove(origin.uuid, 1)).rejects.toMatchObject({
      code: 'ImageHasDependentImages',
    })
    expect(await storage.manifests.remove(child.uuid, 1)).toBe(true)
    expect(await storage.manifests.remove(origin.uuid, 1)).toBe(true)
    expect(await (await storage.reopen()).manifests.list(ANY)).toEqual([])
  })

  const isOrphaned = async (storage: TestStorage, child: string, origin: string) => {
    const image = await storage.manifests.find(child)
    return image?.image.origin === origin && !(await storage.manifests.find(origin))
  }

  storageTest('no child is added to an origin that is being removed, in either order', async storage => {
    for (const childFirst of [true, false]) {
      const origin = newImage()
      const child = newImage({ origin: origin.uuid })
      await storage.manifests.insert(origin)
      const insert = () => storage.manifests.insert(child)
      const remove = () => storage.manifests.remove(origin.uuid, 1)
      await Promise.allSettled(childFirst ? [insert(), remove()] : [remove(), insert()])
      expect(await isOrphaned(storage, child.uuid, origin.uuid)).toBe(false)
    }
  })

  storageTest('no image is moved to an origin that is being removed, in either order', async storage => {
    for (const moveFirst of [true, false]) {
      const origin = newImage()
      const child = newImage()
      await storage.manifests.insert(origin)
      await storage.manifests.insert(child)
      const move = () => storage.manifests.replace({ ...child, origin: origin.uuid }, 1)
      const remove = () => storage.manifests.remove(origin.uuid, 1)
      await Promise.allSettled(moveFirst ? [move(), remove()] : [remove(), move()])
      expect(await isOrphaned(storage, child.uuid, origin.uuid)).toBe(false)
    }
  })

  const isRefused = ({ status, reason }: PromiseSettledResult<boolean> & { reason?: unknown }) =>
    status === 'rejected' && (reason as { code?: string }).code === 'ValidationFailed'

  /** The images from one to the last of its origins; fails if that one is never reached. */
  const ancestorsOf = async (storage: TestStorage, uuid: string) => {
    const chain: string[] = []
    for (let next: string | undefined = uuid; next !== undefined; ) {
      expect(chain).not.toContain(next)
      chain.push(next)
      next = (await found(storage, next)).image.origin
    }
    return chain
  }

  storageTest('an image does not become its own ancestor, however far away', async storage => {
    const base = newImage()
    const middle = newImage({ origin: base.uuid })
    const top = newImage({ origin: middle.uuid })
    for (const image of [base, middle, top]) await storage.manifests.insert(image)
    for (const { uuid } of [base, middle, top]) {
      const move = storage.manifests.replace({ ...base, origin: uuid }, 1)
      await expect(move).rejects.toMatchObject({ code: 'ValidationFailed', errors: [{ field: 'origin' }] })
    }
    const self = randomUUID()
    await expect(storage.manifests.insert(newImage({ uuid: self, origin: self }))).rejects.toMatchObject({
      code: 'OriginDoesNotExist',
    })
    const again = await storage.reopen()
    expect(await ancestorsOf(again, top.uuid)).toEqual([top.uuid, middle.uuid, base.uuid])
  })

  storageTest('of writes at once that would make a circle together one is refused', async storage => {
    for (const size of [2, 3, 7]) {
      const images = Array.from({ length: size }, () => newImage())
      for (const image of images) await storage.manifests.insert(image)
      const moves = images.map((image, index) =>
        storage.manifests.replace({ ...image, origin: images[(index + 1) % size]!.uuid }, 1),
      )
      const results = await Promise.allSettled(moves)
      expect(results.filter(isRefused)).toHaveLength(1)
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(size - 1)
      for (const { uuid } of images) await ancestorsOf(storage, uuid)
      // The one that was refused is as it was before, and may still be changed.
      const refused = images[results.findIndex(isRefused)]!
      expect(await storage.manifests.replace({ ...refused, name: 'free' }, 1)).toBe(true)
    }
  })

  storageTest('an image that leaves an origin and one that moves below it make no circle', async storage => {
    for (const leaveFirst of [true, false]) {
      const [base, other] = [newImage(), newImage()]
      const child = newImage({ origin: base.uuid })
      for (const image of [base, other, child]) await storage.manifests.insert(image)
      const leave = () => storage.manifests.replace({ ...child, origin: other.uuid }, 1)
      const move = () => storage.manifests.replace({ ...base, origin: child.uuid }, 1)
      await Promise.allSettled(leaveFirst ? [leave(), move()] : [move(), leave()])
      const again = await storage.reopen()
      for (const { uuid } of [base, other, child]) await ancestorsOf(again, uuid)
    }
  })

  storageTest('an image that is being added is found when it is there', async storage => {
    const image = newImage()
    const adding = storage.manifests.insert(image)
    expect(await storage.manifests.find(image.uuid)).toBeDefined()
    await adding
  })

  storageTest(
    'what is missing of an image that is being removed is not looked for in vain',
    async storage => {
      for (let round = 0; round < 5; round++) {
        const image = newImage()
        await storage.manifests.insert(image)
        const file = await store(storage, image.uuid, randomBytes(1000))
        let isOver = false
        const removing = storage.manifests.remove(image.uuid, 2).finally(() => {
          isOver = true
        })
        while (!isOver) {
          const open = await storage.files.open(image.uuid, file).catch(() => undefined)
          if (open) await open.close()
          // Its file was missing, and so it is gone too.
          else expect(await storage.manifests.find(image.uuid)).toBeUndefined()
        }
        expect(await removing).toBe(true)
      }
    },
  )

  storageTest(
    'an image that is moving to a new UUID can be changed as soon as it is seen there',
    async storage => {
      const image = newImage()
      await storage.manifests.insert(image)
      const next = { ...image, uuid: randomUUID() }
      const moving = storage.manifests.insert(next, await found(storage, image.uuid))
      const change = async () => {
        for (;;) {
          const seen = await storage.manifests.find(next.uuid)
          if (seen && (await storage.manifests.replace({ ...next, name: 'changed' }, seen.revision))) return
          // As the domain does: it asks again and waits for nothing but the storage.
          if (!seen) await new Promise(resolve => setImmediate(resolve))
        }
      }
      await Promise.all([moving, change()])
      expect((await found(await storage.reopen(), next.uuid)).image.name).toBe('changed')
    },
  )

  storageTest('an image that leaves its origin frees it', async storage => {
    const origin = newImage()
    const child = newImage({ origin: origin.uuid })
    await storage.manifests.insert(origin)
    await storage.manifests.insert(child)
    const { origin: _, ...free } = child
    expect(await storage.manifests.replace(free, 1)).toBe(true)
    expect(await storage.manifests.remove(origin.uuid, 1)).toBe(true)
  })

  storageTest('a removed image is gone with its files, and its UUID is free again', async storage => {
    const image = newImage()
    await storage.manifests.insert(image)
    const file = await store(storage, image.uuid, randomBytes(1000))
    expect(await storage.manifests.remove(image.uuid, 2)).toBe(true)
    expect(await storage.manifests.find(image.uuid)).toBeUndefined()
    await expect(storage.files.open(image.uuid, file)).rejects.toMatchObject({ code: 'StorageIsDown' })
    await storage.manifests.insert(image)
    expect((await found(await storage.reopen(), image.uuid)).image).toEqual(image)
  })
}

function testLists(storageTest: StorageTest) {
  const publishedAt = (day: number) => `2024-01-${String(day).padStart(2, '0')}T00:00:00.000Z`
  const uuids = async (storage: TestStorage, query: Partial<ListQuery> = {}) =>
    imagesOf(await storage.manifests.list({ ...ANY, ...query })).map(({ uuid }) => uuid)

  /** Published out of order, some at one instant; two unpublished. */
  async function fill(storage: TestStorage): Promise<string[]> {
    const images = [3, 1, 2, 2, 2, 5].map(day =>
      newImage({ state: 'active', published_at: publishedAt(day) }),
    )
    images.push(newImage(), newImage())
    await Promise.all(images.map(image => storage.manifests.insert(image)))
    const key = ({ published_at = '', uuid }: Image) => `${published_at} ${uuid}`
    return images.sort((a, b) => (key(a) < key(b) ? -1 : 1)).map(({ uuid }) => uuid)
  }

  storageTest('lists are ordered by publication, then by UUID, the unpublished first', async storage => {
    const expected = await fill(storage)
    expect(await uuids(storage)).toEqual(expected)
    expect(await uuids(storage, { order: 'desc' })).toEqual([...expected].reverse())
    const again = await storage.reopen()
    expect(await uuids(again)).toEqual(expected)
  })

  storageTest('paging shows each image once, whatever the page size', async storage => {
    const expected = await fill(storage)
    for (const order of ['asc', 'desc'] as const) {
      for (const limit of [2, 3, 100]) {
        const seen: string[] = []
        for (;;) {
          const marker = seen.at(-1)
          const position = marker
            ? { publishedAt: (await found(storage, marker)).image.published_at ?? '', uuid: marker }
            : undefined
          const page = await uuids(storage, { order, limit, marker: position })
          // The marker's own image is part of the page.
          const fresh = marker ? page.slice(1) : page
          if (marker) expect(page[0]).toBe(marker)
          if (fresh.length === 0) break
          seen.push(...fresh)
        }
        expect(seen).toEqual(order === 'asc' ? expected : [...expected].reverse())
      }
    }
  })

  storageTest('a page may start at an instant that no image has', async storage => {
    const expected = await fill(storage)
    const marker = { publishedAt: publishedAt(4) }
    expect(await uuids(storage, { marker })).toEqual(expected.slice(-1))
    expect(await uuids(storage, { marker, order: 'desc' })).toEqual(expected.slice(0, -1).reverse())
  })

  storageTest('an image takes its new place in the order when it is published', async storage => {
    const expected = await fill(storage)
    const [first] = expected
    const { image } = await found(storage, first!)
    await storage.manifests.replace({ ...image, state: 'active', published_at: publishedAt(9) }, 1)
    expect(await uuids(storage)).toEqual([...expected.slice(1), first])
    await storage.manifests.remove(first!, 2)
    expect(await uuids(storage)).toEqual(expected.slice(1))
  })

  storageTest('filters hold before the page is cut', async storage => {
    await fill(storage)
    const wanted = newImage({ name: 'wanted', state: 'active', published_at: publishedAt(4) })
    await storage.manifests.insert(wanted)
    expect(await uuids(storage, { name: { value: 'wanted', contains: false }, limit: 1 })).toEqual([
      wanted.uuid,
    ])
    expect(await uuids(storage, { state: 'unactivated' })).toHaveLength(2)
    expect(await uuids(storage, { state: 'active', limit: 5 })).toHaveLength(5)
  })
}

function testReplacements(storageTest: StorageTest) {
  storageTest('an image moves to its new UUID with its files', async storage => {
    const content = randomBytes(5000)
    const image = newImage()
    await storage.manifests.insert(image)
    await store(storage, image.uuid, content)
    const current = await found(storage, image.uuid)
    const next = { ...current.image, uuid: randomUUID() }
    await storage.manifests.insert(next, current)
    const again = await storage.reopen()
    expect(await again.manifests.find(image.uuid)).toBeUndefined()
    expect(imagesOf(await again.manifests.list(ANY)).map(({ uuid }) => uuid)).toEqual([next.uuid])
    expect(await contentOf(again, next.uuid, next.files[0]!)).toEqual(content)
  })

  storageTest('an image that has changed meanwhile stays where it is', async storage => {
    const image = newImage()
    await storage.manifests.insert(image)
    const stale = await found(storage, image.uuid)
    await storage.manifests.replace({ ...image, name: 'changed' }, stale.revision)
    const next = newImage()
    expect(await storage.manifests.insert(next, stale)).toBe(false)
    expect((await found(storage, image.uuid)).image.name).toBe('changed')
    expect(await storage.manifests.find(next.uuid)).toBeUndefined()
  })

  storageTest(
    'a change that comes at the same time is not lost, and no child loses its origin',
    async storage => {
      for (const moveFirst of [true, false]) {
        const image = newImage()
        await storage.manifests.insert(image)
        const current = await found(storage, image.uuid)
        const next = { ...image, uuid: randomUUID() }
        const move = () => storage.manifests.insert(next, current)
        const rename = () => storage.manifests.replace({ ...image, name: 'renamed' }, current.revision)
        const child = () => storage.manifests.insert(newImage({ origin: image.uuid }))
        const [moved, renamed, parented] = await Promise.allSettled(
          moveFirst ? [move(), rename(), child()] : [undefined, rename(), child(), move()],
        ).then(([first, second, third, last]) => [last ?? first, second, third])
        const isMoved = moved!.status === 'fulfilled' && moved!.value === true
        const isRenamed = renamed!.status === 'fulfilled' && renamed!.value === true
        expect(isMoved && isRenamed).toBe(false)
        expect(isMoved && parented!.status === 'fulfilled').toBe(false)
        expect((await storage.manifests.find(next.uuid)) !== undefined).toBe(isMoved)
        const stayed = await storage.manifests.find(image.uuid)
        expect(stayed?.image.name).toBe(isMoved ? undefined : isRenamed ? 'renamed' : image.name)
      }
    },
  )

  storageTest('an image with children cannot change its UUID', async storage => {
    const image = newImage()
    await storage.manifests.insert(image)
    await storage.manifests.insert(newImage({ origin: image.uuid }))
    const move = storage.manifests.insert({ ...image, uuid: randomUUID() }, await found(storage, image.uuid))
    await expect(move).rejects.toMatchObject({ code: 'ImageHasDependentImages' })
    expect(imagesOf(await storage.manifests.list(ANY))).toHaveLength(2)
  })
}

function testFiles(storageTest: StorageTest) {
  const SIZES = [1, 7, 65_537, 1024 * 1024, 1024 * 1024 + 1, 9 * 1024 * 1024 + 3]

  storageTest('bytes come back as they were, whole and in part, whatever their number', async storage => {
    for (const size of SIZES) {
      const content = randomBytes(size)
      const image = newImage()
      await storage.manifests.insert(image)
      const file = await store(storage, image.uuid, content)
      expect(file).toMatchObject({ size, sha1: digest('sha1', content) })
      expect(await storage.files.md5(image.uuid, file)).toBe(digest('md5', content))
      const open = await storage.files.open(image.uuid, file)
      expect((await read(open)).equals(content)).toBe(true)
      const end = Math.floor(size / 2)
      expect((await read(open, end)).equals(content.subarray(end))).toBe(true)
      expect((await read(open, 0, end)).equals(content.subarray(0, end + 1))).toBe(true)
      await open.close()
    }
  })

  storageTest('the last two chunks stay as they are until the file is closed', async storage => {
    const contents = [randomBytes(4 * 1024 * 1024), randomBytes(4 * 1024 * 1024)]
    const stored = await Promise.all(
      contents.map(async content => {
        const image = newImage()
        await storage.manifests.insert(image)
        return { uuid: image.uuid, file: await store(storage, image.uuid, content) }
      }),
    )
    const [one, other] = await Promise.all(stored.map(({ uuid, file }) => storage.files.open(uuid, file)))
    let held: Buffer[] = []
    let at = 0
    for await (const chunk of one!.chunks(0, one!.size - 1)) {
      held = [...held, chunk].slice(-2)
      at += chunk.length
      const expected = contents[0]!.subarray(at - held.reduce((sum, each) => sum + each.length, 0), at)
      expect(Buffer.concat(held).equals(expected)).toBe(true)
    }
    expect((await read(other!)).equals(contents[1]!)).toBe(true)
    expect(Buffer.concat(held).equals(contents[0]!.subarray(-held[0]!.length - held[1]!.length))).toBe(true)
    await Promise.all([one!.close(), other!.close()])
  })

  storageTest('a reader that leaves early leaves nothing open', async storage => {
    const image = newImage()
    await storage.manifests.insert(image)
    const file = await store(storage, image.uuid, randomBytes(5 * 1024 * 1024))
    const open = await storage.files.open(image.uuid, file)
    for await (const chunk of open.chunks(0, open.size - 1)) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    await open.close()
  })

  storageTest('a file can be read to its end while its image is removed', async storage => {
    const content = randomBytes(3 * 1024 * 1024)
    const image = newImage()
    await storage.manifests.insert(image)
    const open = await storage.files.open(image.uuid, await store(storage, image.uuid, content))
    await storage.manifests.remove(image.uuid, 2)
    expect((await read(open)).equals(content)).toBe(true)
    await open.close()
  })

  storageTest('a file that was replaced goes when it is removed', async storage => {
    const image = newImage()
    await storage.manifests.insert(image)
    const before = await store(storage, image.uuid, randomBytes(100))
    const content = randomBytes(200)
    const after = await store(storage, image.uuid, content)
    await storage.files.remove(image.uuid, before)
    await expect(storage.files.open(image.uuid, before)).rejects.toMatchObject({ code: 'StorageIsDown' })
    expect(await contentOf(storage, image.uuid, after)).toEqual(content)
  })

  storageTest('bytes cannot be attached to an image that is gone', async storage => {
    const received = await receive(storage, randomBytes(2000))
    await expect(received.attach(randomUUID(), 'image', '.zfs')).rejects.toMatchObject({
      code: 'ResourceNotFound',
    })
    await received.discard()
  })

  storageTest('an image is added with the files that were staged for it', async storage => {
    const { uuid, ...rest } = newImage({ type: 'lxd', state: 'active' })
    const contents = [randomBytes(3000), randomBytes(2 * 1024 * 1024)]
    const staged = []
    for (const [index, content] of contents.entries()) {
      const received = await receive(storage, content)
      const kind = index === 0 ? 'image' : 'image1'
      staged.push({ ...(await received.stage(uuid, kind, '.zfs')), compression: 'none' as const })
    }
    expect(await storage.manifests.find(uuid)).toBeUndefined()
    await storage.manifests.insert({ ...rest, uuid, files: staged })
    const { image, damage } = await found(await storage.reopen(), uuid)
    expect({ damage, state: image.state }).toEqual({ damage: undefined, state: 'active' })
    for (const [index, content] of contents.entries()) {
      expect((await contentOf(storage, uuid, image.files[index]!)).equals(content)).toBe(true)
    }
  })

  storageTest(
    'what was staged for an image that does not come is discarded, or goes with a restart',
    async storage => {
      const [mine, other, lost] = await Promise.all([1, 2, 3].map(() => receive(storage, randomBytes(2000))))
      const image = newImage({ state: 'active' })
      const files = [{ ...(await mine!.stage(image.uuid, 'image', '.zfs')), compression: 'none' as const }]
      await storage.manifests.insert({ ...image, files })
      const again = [{ ...(await other!.stage(image.uuid, 'image', '.zfs')), compression: 'none' as const }]
      await expect(storage.manifests.insert({ ...image, files: again })).rejects.toMatchObject({
        code: 'ImageUuidAlreadyExists',
      })
      await other!.discard()
      await lost!.stage(randomUUID(), 'image', '.zfs')
      await storage.reopen()
      expect((await contentOf(storage, image.uuid, files[0]!)).length).toBe(2000)
    },
  )

  storageTest('bytes that are discarded leave nothing, attached or not', async storage => {
    const image = newImage()
    await storage.manifests.insert(image)
    await (await receive(storage, randomBytes(2000))).discard()
    const attached = await receive(storage, randomBytes(2 * 1024 * 1024))
    await attached.attach(image.uuid, 'icon', '.png')
    await attached.discard()
    await attached.discard()
  })

  storageTest('files of one image do not get into each other’s way', async storage => {
    const image = newImage()
    await storage.manifests.insert(image)
    const contents = Array.from({ length: 3 }, () => randomBytes(1024 * 1024 + 5))
    const files = await Promise.all(
      contents.map(async (content, index) => {
        const kind = (['image', 'image1', 'icon'] as const)[index]!
        return (await receive(storage, content)).attach(image.uuid, kind, '')
      }),
    )
    const [first, second, icon] = files
    const compression = 'none' as const
    const change: Partial<Image> = {
      files: [
        { ...first!, compression },
        { ...second!, compression },
      ],
      icon: { ...icon!, contentType: 'image/png' },
    }
    expect(await storage.manifests.replace({ ...image, ...change }, 1)).toBe(true)
    const again = await storage.reopen()
    for (const [index, file] of files.entries()) {
      expect((await contentOf(again, image.uuid, file)).equals(contents[index]!)).toBe(true)
      expect(await again.files.md5(image.uuid, file)).toBe(digest('md5', contents[index]!))
    }
  })
}

function testReception(storageTest: StorageTest) {
  storageTest('the first bytes are inspected once, before the rest', async storage => {
    for (const content of [Buffer.from('12345678rest'), Buffer.from('123'), Buffer.alloc(0)]) {
      const heads: Buffer[] = []
      const source = Readable.from([...content].map(byte => Buffer.from([byte])))
      const inspect = (head: Buffer) => void heads.push(Buffer.from(head))
      const received = await storage.files.receive(source, { stallTimeout: STALL, inspect })
      expect(heads).toEqual([content.subarray(0, 8)])
      expect(received.size).toBe(content.length)
      await received.discard()
    }
  })

  storageTest('what the inspector refuses is not taken', async storage => {
    const inspect = () => {
      throw new Error('not that')
    }
    for (const size of [5, 2 * 1024 * 1024]) {
      await expect(receive(storage, randomBytes(size), { inspect })).rejects.toThrow('not that')
    }
  })

  storageTest('one byte more than the limit is refused with the message given', async storage => {
    for (const size of [10, 5 * 1024 * 1024]) {
      const limit = { size, message: 'too much' }
      const enough = await receive(storage, randomBytes(size), { limit })
      await enough.discard()
      await expect(receive(storage, randomBytes(size + 1), { limit })).rejects.toMatchObject({
        problem: { reason: 'too-large', message: 'too much' },
      })
    }
  })

  storageTest('a body that is shorter or longer than promised is refused', async storage => {
    for (const size of [1000, 5 * 1024 * 1024]) {
      for (const expectedSize of [size - 1, size + 1]) {
        await expect(receive(storage, randomBytes(size), { expectedSize })).rejects.toMatchObject({
          problem: { reason: 'wrong-size', size, expectedSize },
        })
      }
      const right = await receive(storage, randomBytes(size), { expectedSize: size })
      await right.discard()
    }
  })

  storageTest('a sender that breaks off is given up, however much it has sent', async storage => {
    for (const size of [0, 1000, 5 * 1024 * 1024]) {
      const source = new PassThrough({ highWaterMark: 16 * 1024 * 1024 })
      source.write(randomBytes(size))
      const received = storage.files.receive(source, { stallTimeout: STALL })
      setImmediate(() => source.destroy(new Error('reset by peer')))
      await expect(received).rejects.toMatchObject({ problem: { reason: 'closed' } })
    }
  })

  storageTest('a sender that had gone before anyone looked is given up', async storage => {
    const source = new PassThrough()
    source.on('error', () => {}).destroy(new Error('reset by peer'))
    await new Promise(resolve => setImmediate(resolve))
    await expect(storage.files.receive(source, { stallTimeout: STALL })).rejects.toMatchObject({
      problem: { reason: 'closed', size: 0 },
    })
  })

  storageTest('a sender that stalls is given up', async storage => {
    const source = new PassThrough()
    source.write(randomBytes(1000))
    await expect(storage.files.receive(source, { stallTimeout: 50 })).rejects.toMatchObject({
      name: 'ReceiveError',
      problem: { reason: 'stalled', size: 1000, seconds: 0.05 },
    })
  })

  storageTest('the md5 is there at once if it is asked for', async storage => {
    for (const size of [0, 1000, 5 * 1024 * 1024]) {
      const content = randomBytes(size)
      const received = await receive(storage, content, { md5: true })
      expect(received.md5).toBe(digest('md5', content))
      expect(received.sha1).toBe(digest('sha1', content))
      await received.discard()
    }
  })

  storageTest('many senders at once do not mix up their bytes', async storage => {
    await Promise.all(
      Array.from({ length: 24 }, async (_, index) => {
        const content = randomBytes(200_000 * (index + 1))
        const image = newImage()
        await storage.manifests.insert(image)
        const file = await store(storage, image.uuid, content)
        expect(file.sha1).toBe(digest('sha1', content))
        expect((await contentOf(storage, image.uuid, file)).equals(content)).toBe(true)
      }),
    )
  })
}

function testLocks(storageTest: StorageTest) {
  storageTest('a lock has one holder, and is free again once let go', async ({ locks }) => {
    const release = await locks.tryAcquire('one')
    expect(release).toBeTypeOf('function')
    expect(await locks.tryAcquire('one')).toBeUndefined()
    const other = await locks.tryAcquire('other')
    expect(other).toBeTypeOf('function')
    release!()
    const again = await locks.tryAcquire('one')
    expect(again).toBeTypeOf('function')
    again!()
    other!()
  })

  storageTest('of many who ask at once one gets the lock', async ({ locks }) => {
    const releases = await Promise.all(Array.from({ length: 20 }, () => locks.tryAcquire('one')))
    expect(releases.filter(Boolean)).toHaveLength(1)
    for (const release of releases) release?.()
  })

  const never = new AbortController().signal

  storageTest(
    'those who wait for a lock get it one after the other, in the order of their coming',
    async ({ locks }) => {
      const order: number[] = []
      let holders = 0
      await Promise.all(
        Array.from({ length: 10 }, async (_, index) => {
          const release = await locks.acquire('one', never)
          expect(++holders).toBe(1)
          order.push(index)
          await new Promise(resolve => setImmediate(resolve))
          expect(await locks.tryAcquire('one')).toBeUndefined()
          holders--
          release()
          // Once more is not the next one's end.
          release()
        }),
      )
      expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      const release = await locks.tryAcquire('one')
      expect(release).toBeTypeOf('function')
      release!()
    },
  )

  storageTest(
    'one who gives up waiting for a lock neither gets it nor keeps others from it',
    async ({ locks }) => {
      const release = await locks.acquire('one', never)
      const patience = new AbortController()
      const impatient = locks.acquire('one', patience.signal)
      const patient = locks.acquire('one', never)
      const reason = new Error('too late')
      patience.abort(reason)
      await expect(impatient).rejects.toBe(reason)
      await expect(locks.acquire('other', patience.signal)).rejects.toBe(reason)
      release()
      const next = await patient
      next()
      const again = await locks.tryAcquire('other')
      expect(again).toBeTypeOf('function')
      again!()
    },
  )
}
