import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { type Blob, BlobCache } from '../../../src/sources/registry/blob-cache.ts'
import { digestOf } from '../../support/layers.ts'
import { temporaryFolder } from '../../support/server.ts'
import { until } from '../../support/until.ts'

/** The folder of blobs: whole, right, and no larger than it may be. */

const bytesOf = (letter: string) => Buffer.alloc(100, letter)
const blobOf = (bytes: Buffer): Blob => ({ digest: digestOf(bytes), size: bytes.length })
const fileOf = (folder: string, { digest }: Blob) => join(folder, digest.replace(':', '-'))

const [a, b, c] = ['a', 'b', 'c'].map(letter => {
  const bytes = bytesOf(letter)
  return { bytes, blob: blobOf(bytes), fetch: (offset: number) => Readable.from([bytes.subarray(offset)]) }
}) as [Sample, Sample, Sample]

interface Sample {
  bytes: Buffer
  blob: Blob
  fetch(offset: number): Readable
}

/** Ten bytes of `a`, and an error. */
async function* tenBytes() {
  yield a.bytes.subarray(0, 10)
  throw new Error('broken')
}
const breakingOff = () => Readable.from(tenBytes())

/** Used at this second of the epoch. */
const usedAt = (path: string, second: number) => utimesSync(path, second, second)

const sizeOf = (folder: string) =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)

test('what has not been used for the longest time goes first, and what is in use stays', async () => {
  const folder = temporaryFolder()
  const cache = new BlobCache(folder, 200)
  for (const [second, { blob, fetch }] of [a, b].entries()) {
    const lease = await cache.lease(blob, fetch)
    await lease.release()
    usedAt(lease.path, 1000 + second)
  }
  const held = await cache.lease(a.blob, () => Readable.from([]))
  usedAt(held.path, 1)
  const third = await cache.lease(c.blob, c.fetch)
  expect(readFileSync(held.path)).toEqual(a.bytes)
  expect(existsSync(fileOf(folder, b.blob))).toBe(false)
  await third.release()
  await held.release()
  expect(sizeOf(folder)).toBe(200)
})

test('blobs that are fetched at the same time make room for each other', async () => {
  const folder = temporaryFolder()
  const cache = new BlobCache(folder, 200)
  await (await cache.lease(a.blob, a.fetch)).release()
  const streams: PassThrough[] = []
  const open = () => {
    const stream = new PassThrough()
    streams.push(stream)
    return stream
  }
  const second = cache.lease(b.blob, open)
  await until('the second is being fetched', () => streams.length === 1)
  const third = cache.lease(c.blob, open)
  await until('the third is being fetched', () => streams.length === 2)
  expect(existsSync(fileOf(folder, a.blob))).toBe(false)
  streams[0]!.end(b.bytes)
  streams[1]!.end(c.bytes)
  for (const lease of await Promise.all([second, third])) await lease.release()
  expect(sizeOf(folder)).toBe(200)
})

test('what is larger than the whole cache may be used, and goes with its last user', async () => {
  const folder = temporaryFolder()
  const cache = new BlobCache(folder, 50)
  const leases = [await cache.lease(a.blob, a.fetch), await cache.lease(a.blob, a.fetch)]
  await leases[0]!.release()
  await leases[0]!.release()
  expect(readFileSync(leases[1]!.path)).toEqual(a.bytes)
  await leases[1]!.release()
  expect(readdirSync(folder)).toEqual([])
})

test('a request for what is being fetched gets it too, and resumes where the others ended', async () => {
  const cache = new BlobCache(temporaryFolder(), 200)
  const stream = new PassThrough()
  let isFetching = false
  const first = cache.lease(a.blob, () => {
    isFetching = true
    return stream
  })
  const offsets: number[] = []
  const others = [1, 2].map(() =>
    cache.lease(a.blob, offset => {
      offsets.push(offset)
      return a.fetch(offset)
    }),
  )
  await until('the first is fetching', () => isFetching)
  const left = expect(first).rejects.toThrow('left')
  stream.destroy(new Error('left'))
  await left
  const leases = await Promise.all(others)
  expect(leases.map(({ path }) => readFileSync(path))).toEqual([a.bytes, a.bytes])
  expect(offsets).toEqual([0])
})

test('a fetch goes on behind what an earlier one left, and begins anew where that was wrong', async () => {
  for (const { left, offsets } of [
    { left: a.bytes.subarray(0, 40), offsets: [40] },
    { left: Buffer.alloc(40, 'x'), offsets: [40, 0] },
    { left: Buffer.alloc(140, 'a'), offsets: [0] },
  ]) {
    const folder = temporaryFolder()
    await expect(new BlobCache(folder, 200).lease(a.blob, breakingOff)).rejects.toThrow('broken')
    writeFileSync(join(folder, readdirSync(folder)[0]!), left)
    const asked: number[] = []
    const lease = await new BlobCache(folder, 200).lease(a.blob, offset => {
      asked.push(offset)
      return a.fetch(offset)
    })
    expect(readFileSync(lease.path)).toEqual(a.bytes)
    expect(asked).toEqual(offsets)
    expect(readdirSync(folder)).toHaveLength(1)
  }
})

test('a blob that one source sends slowly is fetched from another one that has it', async () => {
  const folder = temporaryFolder()
  const cache = new BlobCache(folder, 1000)
  const slow = new PassThrough()
  const never = cache.lease(a.blob, () => slow, 'slow')
  never.catch(() => {})
  const lease = await cache.lease(a.blob, a.fetch, 'quick')
  expect(readFileSync(lease.path)).toEqual(a.bytes)
  slow.end(a.bytes)
  expect((await never).path).toBe(lease.path)
  expect(readdirSync(folder)).toHaveLength(1)
})

test('of other bytes than those of the digest nothing is kept', async () => {
  for (const sent of [b.bytes, a.bytes.subarray(1), Buffer.concat([a.bytes, a.bytes])]) {
    const folder = temporaryFolder()
    const cache = new BlobCache(folder, 200)
    const leased = cache.lease(a.blob, () => Readable.from([sent]))
    await expect(leased).rejects.toThrow(
      `the registry sent other bytes than those of digest ${a.blob.digest}`,
    )
    expect(readdirSync(folder)).toEqual([])
    const lease = await cache.lease(a.blob, a.fetch)
    expect(readFileSync(lease.path)).toEqual(a.bytes)
  }
})

test('a link or a folder in the place of a blob, or of a part of one, makes room for it', async () => {
  const folder = temporaryFolder()
  const mine = join(temporaryFolder(), 'mine')
  writeFileSync(mine, a.bytes)
  const cache = new BlobCache(folder, 1000)
  symlinkSync(mine, fileOf(folder, a.blob))
  symlinkSync(mine, `${fileOf(folder, b.blob)}.partial`)
  mkdirSync(`${fileOf(folder, c.blob)}.partial`)
  for (const { bytes, blob, fetch } of [a, b, c]) {
    const lease = await cache.lease(blob, fetch)
    expect(readFileSync(lease.path)).toEqual(bytes)
    await lease.release()
  }
  expect(readFileSync(mine)).toEqual(a.bytes)
})
