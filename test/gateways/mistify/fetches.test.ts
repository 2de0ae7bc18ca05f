import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { uptime } from 'node:os'
import { expect, test } from 'vitest'
import { bytes, call, manifest, sha1, uuid } from '../../support/api.ts'
import { ask, fetchFrom, hasStatus, type MistifyServer, startMistify } from '../../support/mistify.ts'
import { startSource } from '../../support/source.ts'
import { until } from '../../support/until.ts'

/** What becomes of a fetch when the source, the server or the operator does something in the middle of it. */

/** A file with an ETag, from where it is asked for; all of it again where the client means another version. */
function sendVersion(
  content: Uint8Array,
  etag: string | undefined,
  request: IncomingMessage,
  response: ServerResponse,
  send = (rest: Uint8Array) => void response.end(rest),
) {
  const { range, 'if-range': condition } = request.headers
  const isSame = etag !== undefined && condition === etag
  const from = isSame ? Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0) : 0
  const rest = content.subarray(from)
  response.writeHead(from > 0 ? 206 : 200, {
    'content-length': rest.length,
    ...(etag && { etag }),
    ...(from > 0 && { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` }),
  })
  send(rest)
}

/** Sends five sixths of a file, and no more until it is released: then all that is asked for. */
async function startHeldSource(content: Uint8Array, etag: string | undefined) {
  const held = { is: true, etag, content }
  const source = await startSource((request, response) =>
    sendVersion(held.content, held.etag, request, response, rest => {
      if (held.is) response.write(rest.subarray(0, (content.length / 6) * 5))
      else response.end(rest)
    }),
  )
  return { source, held }
}

const partials = ({ datadir }: MistifyServer) =>
  readdirSync(`${datadir}/.jobs`).filter(name => name.endsWith('.partial'))

const hasPart = (server: MistifyServer) =>
  partials(server).some(name => statSync(`${server.datadir}/.jobs/${name}`).size > 0)

async function downloaded(server: MistifyServer, id: string) {
  const response = await fetch(`${server.mistify.url}/images/${id}/download`)
  return sha1(new Uint8Array(await response.arrayBuffer()))
}

/** Killed when a part of the file is on disk, and started again; `change`: what happens at the source meanwhile. */
async function killedInTheMiddle(etag: string | undefined, change: (held: { is: boolean }) => void) {
  const content = bytes(6_000_000)
  content.set([0x1f, 0x8b, 0x08])
  const { source, held } = await startHeldSource(content, etag)
  const before = await startMistify()
  const { id } = (await fetchFrom(before, `${source.url}/guest`)).body
  await until('a part of the file is on disk', () => hasPart(before))
  await before.kill()
  held.is = false
  change(held)
  const after = await startMistify({ folder: before.folder })
  const complete = await hasStatus(after, id, 'complete')
  return { content, source, held, after, id, complete }
}

test('a fetch whose server is killed goes on from there at the next start, under its id', async () => {
  const { content, source, after, id, complete } = await killedInTheMiddle('"v1"', () => {})
  expect(complete).toMatchObject({ source: `${source.url}/guest`, size: 6_000_000, expected_size: 6_000_000 })
  expect(source.requests.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-$/)
  expect(await downloaded(after, id)).toBe(sha1(content))
  expect(partials(after)).toEqual([])
  expect((await ask(after, 'GET', '/images')).body).toHaveLength(1)
  expect((await call(after, 'GET', `/images/${id}`)).body.files).toMatchObject([{ compression: 'gzip' }])
})

test('a fetch whose server is killed begins anew if the source has another version by then', async () => {
  const changed = bytes(5_900_000)
  const { after, id, complete } = await killedInTheMiddle('"v1"', held =>
    Object.assign(held, { etag: '"v2"', content: changed }),
  )
  expect(complete).toMatchObject({ size: 5_900_000, expected_size: 5_900_000 })
  expect(await downloaded(after, id)).toBe(sha1(changed))
})

test('a fetch whose server is killed begins anew if the source cannot tell its versions apart', async () => {
  const { content, source, after, id } = await killedInTheMiddle(undefined, () => {})
  expect(source.requests.map(({ range }) => range)).toEqual([undefined, undefined])
  expect(await downloaded(after, id)).toBe(sha1(content))
})

test('fetches that wait when the server is killed come in their turn after the next start', async () => {
  const content = bytes(1000)
  let isHeld = true
  const source = await startSource((request, response) => {
    if (!isHeld) sendVersion(content, '"v1"', request, response)
  })
  const before = await startMistify({ config: { imports: { concurrency: 1 } } })
  const first = (await fetchFrom(before, `${source.url}/first`)).body
  const second = (await fetchFrom(before, `${source.url}/second`, { comment: 'waits' })).body
  await hasStatus(before, first.id, 'downloading')
  await before.kill()
  isHeld = false
  const after = await startMistify({ folder: before.folder })
  await hasStatus(after, first.id, 'complete')
  expect(await hasStatus(after, second.id, 'complete')).toMatchObject({ comment: 'waits' })
})

test('a fetch whose server is killed when its image is made and not yet complete makes it again', async () => {
  const content = bytes(100_000)
  let isHeld = true
  const source = await startSource((request, response) => {
    if (!isHeld) sendVersion(content, '"v1"', request, response)
  })
  const before = await startMistify()
  const { id } = (await fetchFrom(before, source.url)).body
  await hasStatus(before, id, 'downloading')
  // What such a moment leaves: the image without its file, and on record whose it is.
  const body = { ...manifest(), uuid: id, v: 2 }
  expect((await call(before, 'POST', `/images/${id}?action=import`, { body })).status).toBe(200)
  await before.kill()
  const [record] = readdirSync(`${before.datadir}/.jobs`).filter(name => name.endsWith('.json'))
  const path = `${before.datadir}/.jobs/${record}`
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), made: [id] }))
  isHeld = false
  const after = await startMistify({ folder: before.folder })
  await hasStatus(after, id, 'complete')
  expect(await downloaded(after, id)).toBe(sha1(content))
  expect((await call(after, 'GET', '/images?state=all')).body).toMatchObject([{ uuid: id, type: 'zvol' }])
})

test('a source that breaks off is asked for the rest, or for all of it if it tells no version', async () => {
  const content = bytes(1_000_000)
  let breaks = 0
  const source = await startSource((request, response) => {
    const etag = request.url === '/told' ? '"v1"' : undefined
    sendVersion(content, etag, request, response, rest => {
      if (breaks-- > 0) response.write(rest.subarray(0, 300_000), () => response.destroy())
      else response.end(rest)
    })
  })
  const server = await startMistify()
  for (const [path, ranges] of [
    ['/told', ['first', 'rest', 'rest']],
    ['/untold', ['first', 'first', 'first']],
  ] as const) {
    breaks = 2
    const { id } = (await fetchFrom(server, source.url + path)).body
    await hasStatus(server, id, 'complete')
    expect(await downloaded(server, id)).toBe(sha1(content))
    const asked = source.requests.filter(request => request.path === path)
    expect(asked.map(({ range }) => (range ? 'rest' : 'first'))).toEqual(ranges)
  }
})

test('a failed source says why and can be asked again, under the same id', async () => {
  const content = bytes(1000)
  let isThere = false
  const source = await startSource((request, response) => {
    if (isThere) sendVersion(content, '"v1"', request, response)
    else response.writeHead(404).end()
  })
  const server = await startMistify()
  const { id } = (await fetchFrom(server, source.url, { comment: 'a guest' })).body
  const failed = await hasStatus(server, id, 'error')
  expect(failed).toMatchObject({ comment: 'a guest', size: 0, error: expect.stringContaining('HTTP 404') })
  expect((await ask(server, 'GET', '/images')).body).toEqual([failed])
  expect((await ask(server, 'GET', `/images/${id}/download`)).body.message).toBe('incomplete image')
  isThere = true
  const again = await fetchFrom(server, source.url)
  expect(again).toMatchObject({ status: 202, body: { id, comment: 'a guest' } })
  expect(again.body).not.toHaveProperty('error')
  expect(await hasStatus(server, id, 'complete')).not.toHaveProperty('error')
})

test('a failed fetch is still told after a restart, and is gone when it is deleted', async () => {
  const source = await startSource((_, response) => void response.writeHead(403).end())
  const before = await startMistify()
  const { id } = (await fetchFrom(before, source.url)).body
  const failed = await hasStatus(before, id, 'error')
  await before.stop()
  const server = await startMistify({ folder: before.folder })
  expect((await ask(server, 'GET', `/images/${id}`)).body).toEqual(failed)
  expect((await ask(server, 'DELETE', `/images/${id}`)).body).toEqual(failed)
  expect((await ask(server, 'GET', `/images/${id}`)).status).toBe(404)
  expect((await ask(server, 'GET', '/images')).body).toEqual([])
})

test('a source that sends a little for ever is given up at the deadline', async () => {
  const source = await startSource((_, response) => {
    response.writeHead(200, { 'content-length': 1_000_000 })
    const timer = setInterval(() => response.write('x'), 50)
    response.on('close', () => clearInterval(timer))
  })
  const server = await startMistify({ config: { gateways: { mistify: { fetchTimeout: 1 } } } })
  const { id } = (await fetchFrom(server, source.url)).body
  expect(await hasStatus(server, id, 'error')).toMatchObject({ error: 'not complete after 1 seconds' })
})

test('a source with nothing, and one with more than this server takes, are errors that say so', async () => {
  const source = await startSource((request, response) => {
    response.end(request.url === '/empty' ? '' : bytes(20_000))
  })
  const server = await startMistify({ config: { maxImageSize: 10_000 } })
  for (const [path, error] of [
    ['/empty', /0 bytes/],
    ['/large', /exceeds the maximum allowed size, 10000 bytes/],
  ] as const) {
    const { id } = (await fetchFrom(server, source.url + path)).body
    expect((await hasStatus(server, id, 'error')).error).toMatch(error)
  }
})

test('DELETE ends a fetch: its connection, its bytes and its record', async () => {
  const content = bytes(1_000_000)
  let isClosed = false
  const source = await startSource((_, response) => {
    response.on('close', () => {
      isClosed = true
    })
    response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 500_000))
  })
  const server = await startMistify()
  const { id } = (await fetchFrom(server, source.url)).body
  await until('bytes have come', async () => (await ask(server, 'GET', `/images/${id}`)).body.size > 0)
  const deleted = await ask(server, 'DELETE', `/images/${id}`)
  expect(deleted).toMatchObject({ status: 200, body: { id, status: 'downloading' } })
  await until('the download has ended', () => isClosed)
  expect((await ask(server, 'GET', `/images/${id}`)).status).toBe(404)
  expect((await ask(server, 'GET', '/images')).body).toEqual([])
  expect((await call(server, 'GET', '/jobs')).body).toEqual([])
  expect(partials(server)).toEqual([])
  const anew = await fetchFrom(server, source.url)
  expect(anew.body.id).not.toBe(id)
})

test('many requests for one source at the same time make one image and one download', async () => {
  const content = bytes(10_000)
  const source = await startSource((request, response) => sendVersion(content, '"v1"', request, response))
  const server = await startMistify()
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, index) => fetchFrom(server, source.url, { comment: `${index}` })),
  )
  const ids = new Set(answers.map(({ status, body }) => `${status} ${body.id}`))
  expect(ids.size).toBe(1)
  await hasStatus(server, answers[0]!.body.id, 'complete')
  expect(await ask(server, 'GET', '/images')).toMatchObject({ body: [{ status: 'complete' }] })
  expect(source.requests).toHaveLength(1)
})

test('a source on a private address is refused before anything is queued', async () => {
  const source = await startSource(() => {})
  const server = await startMistify({ config: { allowPrivateSources: false } })
  for (const url of [source.url, 'http://169.254.169.254/latest', 'http://[::1]/', 'http://localhost/']) {
    const { status, body } = await fetchFrom(server, url)
    expect({ status, body }).toEqual({
      status: 400,
      body: { message: expect.stringMatching(/not a public address/) },
    })
  }
  expect((await ask(server, 'GET', '/images')).body).toEqual([])
  expect((await call(server, 'GET', '/jobs')).body).toEqual([])
  expect(source.requests).toEqual([])
})

test('credentials of a source reach the source alone', async () => {
  const content = bytes(1000)
  // So long that no time and no id has it by chance.
  const secret = 'b7Xq0vNzR4711mWk2'
  const source = await startSource((request, response) => sendVersion(content, '"v1"', request, response))
  const server = await startMistify()
  const plain = `${source.url}/guest?key=k${secret}`
  const { id, ...asked } = (await fetchFrom(server, plain.replace('//', `//eve:s${secret}@`))).body
  expect(asked.source).toBe(plain)
  await hasStatus(server, id, 'complete')
  expect(source.requests[0]?.authorization).toBe(`Basic ${Buffer.from(`eve:s${secret}`).toString('base64')}`)
  expect((await fetchFrom(server, plain)).body.id).toBe(id)
  const { body } = await ask(server, 'GET', `/images/${id}`, { anonymous: true })
  expect(body.source).toBe(`${source.url}/guest?key=***`)
  const seen = [
    await call(server, 'GET', `/images/${id}`, { anonymous: true }),
    await call(server, 'GET', '/jobs'),
    await ask(server, 'GET', '/images', { anonymous: true }),
  ].map(({ text }) => text)
  await server.stop()
  for (const text of [...seen, JSON.stringify(server.log())]) expect(text).not.toContain(secret)
})

test('fetches are resumed from the records of version 1.0.0 as from those of today', async () => {
  const content = bytes(50_000)
  const source = await startSource((request, response) => sendVersion(content, '"v1"', request, response))
  const server = await startMistify()
  await server.stop()
  const jobs = `${server.datadir}/.jobs`
  const keys = ['told', 'source_file']
  const ids = keys.map(key =>
    writeInterrupted(jobs, `${source.url}/${key}`, key, content.subarray(0, 20_000)),
  )
  const again = await startMistify({ folder: server.folder })
  for (const [index, key] of keys.entries()) {
    expect(await hasStatus(again, ids[index]!, 'complete')).toMatchObject({
      size: 50_000,
      expected_size: 50_000,
    })
    expect(await downloaded(again, ids[index]!)).toBe(sha1(content))
    const ranges = source.requests.filter(({ path }) => path === `/${key}`).map(({ range }) => range)
    expect(ranges).toEqual(['bytes=20000-'])
  }
  await again.stop()
  const records = readdirSync(jobs).map(name => JSON.parse(readFileSync(`${jobs}/${name}`, 'utf8')))
  expect(records.map(({ fetch }) => fetch.source_file)).toEqual([
    { size: 50_000, validator: '"v1"' },
    { size: 50_000, validator: '"v1"' },
  ])
  expect(JSON.stringify(records)).not.toContain('"told":')
})

/** Writes the record and the partial file of a fetch, and returns the UUID of its image. */
function writeInterrupted(jobs: string, source: string, key: string, part: Uint8Array): string {
  const [job, image] = [uuid(), uuid()]
  const at = new Date().toISOString()
  const partial = `${image}-${createHash('sha1').update(source).digest('hex')}`
  const kvm = { name: 'guest', version: '1.0.0', type: 'zvol', os: 'other' }
  const record = {
    ...{ uuid: job, task: 'fetch-image', image_uuid: image, source, secret_source: source },
    ...{ state: 'queued', retries: 0, interruptions: 0, created_at: at, started_at: at },
    steps: [{ uuid: image, state: 'running', bytes_done: part.length, bytes_expected: 50_000 }],
    partials: [partial],
    fetch: {
      ...{ manifest: kvm, source, time_limit: 3600 },
      [key]: { size: 50_000, validator: '"v1"' },
      booted_at: Math.round(Date.now() / 1000 - uptime()),
    },
  }
  writeFileSync(`${jobs}/${job}.json`, JSON.stringify(record))
  writeFileSync(`${jobs}/${partial}.partial`, part)
  return image
}
