import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { type Contents, fetchPartial, fetchVerified } from '../../src/sources/verified-fetch.ts'
import { temporaryFolder } from '../support/server.ts'

/** Fetches into a file: what is kept, what is fetched again, and what is left of wrong bytes. */

const WHOLE = Buffer.from('0123456789')
const FOUND = /^10 bytes with [0-9a-f]{40}$/

/** A fetch of ten bytes from a source that sends `sent`. `offsets`: where it was asked to begin. */
function fetchOf(sent = WHOLE) {
  const offsets: number[] = []
  const progress: number[] = []
  return {
    offsets,
    progress,
    algorithm: 'sha1' as const,
    expected: { size: WHOLE.length, digest: createHash('sha1').update(WHOLE).digest('hex') },
    open: (offset: number) => {
      offsets.push(offset)
      return Readable.from([...sent.subarray(offset)].map(byte => Buffer.from([byte])))
    },
    mismatch: ({ size, digest }: Contents) => new Error(`${size} bytes with ${digest}`),
    onProgress: (bytes: number) => void progress.push(bytes),
  }
}

function fileWith(text: string) {
  const path = join(temporaryFolder(), 'file')
  writeFileSync(path, text)
  const run = async (work: (handle: Awaited<ReturnType<typeof open>>) => Promise<void>) => {
    const handle = await open(path, 'r+')
    try {
      await work(handle)
    } finally {
      await handle.close()
    }
  }
  return { path, run, text: () => readFileSync(path, 'utf8') }
}

test.each([
  { name: 'of nothing all is fetched', left: '', offsets: [0], after: '' },
  { name: 'bytes that are there are kept', left: '0123', offsets: [4], after: '' },
  {
    name: 'of what is complete nothing is fetched, and what follows stays',
    left: '0123456789more',
    offsets: [10],
    after: 'more',
  },
  { name: 'damaged bytes are fetched again, once', left: '01x3', offsets: [4, 0], after: '' },
  {
    name: 'what follows damaged bytes may be damaged too',
    left: '01x3456789more',
    offsets: [10, 0],
    after: '',
  },
])('$name', async ({ left, offsets, after }) => {
  const file = fileWith(`head${left}`)
  const fetch = fetchOf()
  await file.run(handle => fetchVerified({ handle, start: 4 }, fetch))
  expect(file.text()).toBe(`head0123456789${after}`)
  expect(fetch.offsets).toEqual(offsets)
  expect(fetch.progress.at(-1)).toBe(10)
})

test('wrong bytes are fetched once, those behind a part of an earlier attempt twice, and none are left', async () => {
  for (const { left, offsets } of [
    { left: '', offsets: [0] },
    { left: '0123', offsets: [4, 0] },
  ]) {
    const file = fileWith(`head${left}`)
    const fetch = fetchOf(Buffer.from('abcdefghij'))
    await file.run(handle => expect(fetchVerified({ handle, start: 4 }, fetch)).rejects.toThrow(FOUND))
    expect(fetch.offsets).toEqual(offsets)
    expect(file.text()).toBe('head')
  }
})

test('a source that sends too little or too much is refused, and no byte too many is written', async () => {
  const less = fileWith('head')
  const short = fetchOf(WHOLE.subarray(0, 9))
  await less.run(handle => expect(fetchVerified({ handle, start: 4 }, short)).rejects.toThrow('9 bytes'))
  const more = fileWith('head')
  const endless = fetchOf(Buffer.concat([WHOLE, WHOLE]))
  await more.run(handle => expect(fetchVerified({ handle, start: 4 }, endless)).rejects.toThrow('11 bytes'))
  expect(endless.progress.at(-1)).toBe(10)
})

test('a source that breaks off leaves what it has sent, and a partial file without a byte is removed', async () => {
  const breaking = (bytes: string) => () =>
    Readable.from(
      (async function* () {
        yield Buffer.from(bytes)
        throw new Error('broken')
      })(),
    )
  const run = async (left: string, fetch: ReturnType<typeof fetchOf>) => {
    const path = join(temporaryFolder(), 'partial')
    writeFileSync(path, left)
    const outcome = await fetchPartial(path, await open(path, 'r+'), fetch).then(
      () => 'fetched',
      error => (error as Error).message,
    )
    return [outcome, existsSync(path) ? readFileSync(path, 'utf8') : undefined]
  }
  expect(await run('', { ...fetchOf(), open: breaking('012') })).toEqual(['broken', '012'])
  expect(await run('', { ...fetchOf(), open: breaking('') })).toEqual(['broken', undefined])
  expect(await run('0123', fetchOf(Buffer.from('abcdefghij')))).toEqual([
    expect.stringMatching(FOUND),
    undefined,
  ])
  // A longer partial file is that of another file.
  const fetch = fetchOf()
  expect(await run('0123456789more', fetch)).toEqual(['fetched', '0123456789'])
  expect(fetch.offsets).toEqual([0])
})

test('hashing what is there ends with the reason of the signal', async () => {
  const reason = new Error('enough')
  const file = fileWith('0123')
  const fetch = fetchOf()
  const signal = AbortSignal.abort(reason)
  await file.run(handle =>
    expect(fetchVerified({ handle, start: 0 }, { ...fetch, signal })).rejects.toBe(reason),
  )
  expect(file.text()).toBe('0123')
  expect(fetch.offsets).toEqual([])
})
