import { Agent } from 'node:http'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { bytes, call, md5, publish, sha1 } from '../support/api.ts'
import { json, type Reply, send } from '../support/http.ts'
import { isLinux, openFiles } from '../support/process.ts'
import { RawConnection } from '../support/raw.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'
import { until } from '../support/until.ts'

/** Files on their way out: what is promised about them, and all or a part of their bytes. */

const sharedServer = shared(startServer)

interface Served {
  server: TestServer
  uuid: string
  content: Buffer
  get(headers?: Record<string, string>, method?: string): Promise<Reply>
}

async function serve(size: number, start = () => sharedServer()): Promise<Served> {
  const server = await start()
  const content = bytes(size)
  const { uuid } = await publish(server, content)
  const get = (headers = {}, method = 'GET') => send(`${server.url}/images/${uuid}/file`, method, { headers })
  return { server, uuid, content, get }
}

/** The headers that tell one version of a file from another. */
const pick = ({ headers }: Reply, ...names: string[]) =>
  Object.fromEntries(names.map(name => [name, headers[name]]))

test('a download promises its length, its md5, its sha1 as a quoted ETag, its date, and that ranges work', async () => {
  const before = Math.floor(Date.now() / 1000) * 1000
  for (const size of [1, 1000, 2_500_000]) {
    const { content, get } = await serve(size)
    const reply = await get()
    expect(reply.status).toBe(200)
    expect(reply.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': String(size),
      'content-md5': md5(content),
      etag: `"${sha1(content)}"`,
      'accept-ranges': 'bytes',
    })
    const modified = Date.parse(reply.headers['last-modified']!)
    expect(new Date(modified).toUTCString()).toBe(reply.headers['last-modified'])
    expect(modified).toBeGreaterThanOrEqual(before)
    expect(modified).toBeLessThanOrEqual(Date.now())
    expect(reply.body.equals(content)).toBe(true)
  }
})

test('a download is never chunked and never encoded, whatever the client would accept', async () => {
  const { content, get } = await serve(100_000)
  for (const headers of [{}, { 'accept-encoding': 'gzip' }, { te: 'chunked' }, { connection: 'close' }]) {
    const reply = await get(headers)
    expect(reply.headers['transfer-encoding']).toBeUndefined()
    expect(reply.headers['content-encoding']).toBeUndefined()
    expect(reply.headers['content-length']).toBe('100000')
    expect(reply.body.equals(content)).toBe(true)
  }
})

test('a client of HTTP/1.0 gets the file too', async () => {
  const { server, uuid, content } = await serve(1000)
  const connection = new RawConnection(server.port)
  connection.sendHead(`GET /images/${uuid}/file HTTP/1.0`)
  const received = await connection.closed()
  expect(received).toMatch(/^HTTP\/1\.[01] 200 OK\r\n/)
  expect(received.slice(received.indexOf('\r\n\r\n') + 4)).toBe(content.toString('latin1'))
})

test('HEAD answers with the headers of a GET and no body, also for a range and a condition', async () => {
  const { content, get } = await serve(1000)
  const names = ['content-length', 'content-md5', 'etag', 'last-modified', 'accept-ranges', 'content-type']
  const head = await get({}, 'HEAD')
  expect(head.status).toBe(200)
  expect(head.body.length).toBe(0)
  expect(pick(head, ...names)).toEqual(pick(await get(), ...names))
  const range = await get({ range: 'bytes=0-9' }, 'HEAD')
  expect([range.status, range.headers['content-range'], range.body.length]).toEqual([
    206,
    'bytes 0-9/1000',
    0,
  ])
  expect((await get({ 'if-none-match': `"${sha1(content)}"` }, 'HEAD')).status).toBe(304)
  expect((await get({ range: 'bytes=1000-' }, 'HEAD')).status).toBe(416)
})

test('single ranges and the last so many bytes are served exactly', async () => {
  const { content, get } = await serve(1000)
  const ranges: [range: string, first: number, last: number][] = [
    ['bytes=0-0', 0, 0],
    ['bytes=0-99', 0, 99],
    ['bytes=100-199', 100, 199],
    ['bytes=999-999', 999, 999],
    ['bytes=900-', 900, 999],
    ['bytes=0-', 0, 999],
    ['bytes=-1', 999, 999],
    ['bytes=-100', 900, 999],
    ['bytes=-5000', 0, 999],
    ['bytes=990-5000', 990, 999],
  ]
  for (const [range, first, last] of ranges) {
    const reply = await get({ range })
    expect([range, reply.status]).toEqual([range, 206])
    expect(reply.headers).toMatchObject({
      'content-range': `bytes ${first}-${last}/1000`,
      'content-length': String(last - first + 1),
      etag: `"${sha1(content)}"`,
    })
    // The digest of the whole would be a wrong one for a part.
    expect(reply.headers['content-md5']).toBeUndefined()
    expect(reply.body.equals(content.subarray(first, last + 1))).toBe(true)
  }
})

test('a range across the pieces in which a large file is read is exact', async () => {
  const { content, get } = await serve(5_000_000)
  for (const [first, last] of [
    [1_048_575, 1_048_576],
    [1_000_000, 3_999_999],
    [4_194_303, 4_999_999],
  ] as const) {
    const reply = await get({ range: `bytes=${first}-${last}` })
    expect(reply.status).toBe(206)
    expect(reply.body.equals(content.subarray(first, last + 1))).toBe(true)
  }
})

test('several ranges, other units and nonsense get the whole file', async () => {
  const { content, get } = await serve(1000)
  const asked = ['bytes=0-9,20-29', 'bytes=0-1,-1', 'pages=1-2', 'bytes', 'bytes=', 'bytes=a-b', 'bytes=9-5']
  for (const range of asked) {
    const reply = await get({ range })
    expect([range, reply.status, reply.headers['content-range']]).toEqual([range, 200, undefined])
    expect(reply.body.equals(content)).toBe(true)
  }
})

test('a range beyond the end is a 416 that says how long the file is, in its header and in JSON', async () => {
  const { get } = await serve(1000)
  for (const range of ['bytes=1000-', 'bytes=1000-2000', 'bytes=5000-', 'bytes=-0']) {
    const reply = await get({ range })
    expect([range, reply.status]).toEqual([range, 416])
    expect(reply.headers).toMatchObject({
      'content-range': 'bytes */1000',
      'content-type': 'application/json',
      'content-length': String(reply.body.length),
    })
    expect(json(reply)).toEqual({
      code: 'RangeNotSatisfiable',
      message: `the range "${range}" is outside of the file's 1000 bytes`,
    })
  }
})

test('If-Range serves the range only of the very file that the client has a part of', async () => {
  const { content, get } = await serve(1000)
  const range = 'bytes=500-'
  const modified = (await get()).headers['last-modified']!
  const earlier = new Date(Date.parse(modified) - 1000).toUTCString()
  const etag = sha1(content)
  const other = sha1(bytes(1))
  const cases: [ifRange: string, status: number][] = [
    [`"${etag}"`, 206],
    [`"${other}"`, 200],
    [`W/"${etag}"`, 200],
    [modified, 206],
    [earlier, 200],
    ['nonsense', 200],
  ]
  for (const [ifRange, status] of cases) {
    const reply = await get({ range, 'if-range': ifRange })
    expect([ifRange, reply.status]).toEqual([ifRange, status])
    expect(reply.body.equals(status === 206 ? content.subarray(500) : content)).toBe(true)
  }
  // The rest of another file is asked for from its beginning, even where it would have no such range.
  expect((await get({ range: 'bytes=5000-', 'if-range': `"${other}"` })).status).toBe(200)
})

test('If-None-Match knows the file by its own ETag and by that of its manifest', async () => {
  const { server, uuid, content, get } = await serve(1000)
  const image = await send(`${server.url}/images/${uuid}`, 'GET')
  const manifestEtag = image.headers.etag!
  expect(manifestEtag).toMatch(/^"[0-9a-f]{40}"$/)
  const fileEtag = `"${sha1(content)}"`
  const known = [fileEtag, manifestEtag, sha1(content), `W/${fileEtag}`, `"x", ${fileEtag}`, '*']
  for (const ifNoneMatch of known) {
    const reply = await get({ 'if-none-match': ifNoneMatch })
    expect([ifNoneMatch, reply.status, reply.body.length]).toEqual([ifNoneMatch, 304, 0])
    expect(reply.headers).toMatchObject({ etag: fileEtag, 'last-modified': expect.any(String) })
  }
  for (const ifNoneMatch of ['"x"', `"${sha1(bytes(1))}"`]) {
    expect((await get({ 'if-none-match': ifNoneMatch })).status).toBe(200)
  }
  // A change of the manifest is none of the file.
  await call(server, 'POST', `/images/${uuid}?action=update`, { body: { description: 'new' } })
  expect((await get({ 'if-none-match': manifestEtag })).status).toBe(200)
  expect((await get({ 'if-none-match': fileEtag })).status).toBe(304)
})

test('If-Modified-Since, If-Match and If-Unmodified-Since hold for files', async () => {
  const { content, get } = await serve(1000)
  const modified = (await get()).headers['last-modified']!
  const earlier = new Date(Date.parse(modified) - 1000).toUTCString()
  const cases: [headers: Record<string, string>, status: number][] = [
    [{ 'if-modified-since': modified }, 304],
    [{ 'if-modified-since': earlier }, 200],
    [{ 'if-modified-since': 'nonsense' }, 200],
    [{ 'if-modified-since': modified, 'if-none-match': '"x"' }, 200],
    [{ 'if-match': `"${sha1(content)}"` }, 200],
    [{ 'if-match': '*' }, 200],
    [{ 'if-match': '"x"' }, 412],
    [{ 'if-unmodified-since': modified }, 200],
    [{ 'if-unmodified-since': earlier }, 412],
  ]
  for (const [headers, status] of cases) {
    const reply = await get(headers)
    expect([headers, reply.status]).toEqual([headers, status])
    if (status === 412) expect(json(reply)).toMatchObject({ code: 'PreconditionFailed' })
  }
})

test('a manifest is a 304 to who has it, and a new one after a change', async () => {
  const { server, uuid } = await serve(10)
  const url = `${server.url}/images/${uuid}`
  const { etag } = (await send(url, 'GET')).headers
  const again = await send(url, 'GET', { headers: { 'if-none-match': etag! } })
  expect([again.status, again.body.length]).toEqual([304, 0])
  await call(server, 'POST', `/images/${uuid}?action=update`, { body: { description: 'new' } })
  expect((await send(url, 'GET', { headers: { 'if-none-match': etag! } })).status).toBe(200)
})

test.runIf(isLinux)('neither HEAD nor refusals nor clients that leave keep a file open', async () => {
  const { server, uuid, content } = await serve(5_000_000, startServer)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  const url = `${server.url}/images/${uuid}/file`
  const ask = (method: string, headers = {}) => send(url, method, { agent, headers })
  await ask('GET')
  const before = openFiles(server.pid)
  for (let i = 0; i < 100; i++) await ask('HEAD')
  await until('every file is closed after HEAD', () => openFiles(server.pid) <= before)
  for (let i = 0; i < 20; i++) {
    await ask('HEAD', { range: 'bytes=0-9' })
    await ask('GET', { range: 'bytes=9000000-' })
    await ask('GET', { 'if-none-match': `"${sha1(content)}"` })
    await ask('GET', { 'if-match': '"x"' })
    const connection = new RawConnection(server.port)
    connection.sendHead(`GET /images/${uuid}/file HTTP/1.1`, 'Host: localhost')
    await connection.until(/\r\n\r\n/)
    connection.end()
  }
  await until('every file is closed', () => openFiles(server.pid) <= before)
})

test('a reader may be slower than the stall timeout as long as it reads', async () => {
  const { server, uuid, content } = await serve(24_000_000, () =>
    sharedServer({ config: { stallTimeout: 2 } }),
  )
  const response = await fetch(`${server.url}/images/${uuid}/file`)
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of Readable.fromWeb(response.body as never)) {
    chunks.push(chunk)
    // A pause now and then, so that it takes longer than that in all.
    if (Math.floor((size + chunk.length) / 2_000_000) > Math.floor(size / 2_000_000)) await pause(250)
    size += chunk.length
  }
  expect(Buffer.concat(chunks).equals(content)).toBe(true)
})

test('a file keeps its bytes for who is reading it when the image is deleted', async () => {
  const { server, uuid, content } = await serve(24_000_000)
  const response = await fetch(`${server.url}/images/${uuid}/file`)
  expect((await call(server, 'DELETE', `/images/${uuid}`)).status).toBe(204)
  expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true)
  expect((await call(server, 'GET', `/images/${uuid}/file`)).status).toBe(404)
})
