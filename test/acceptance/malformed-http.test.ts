import { describe, expect, test } from 'vitest'
import { call, create, publish } from '../support/api.ts'
import { fc } from '../support/properties.ts'
import { rawRequest, sendRaw } from '../support/raw-http.ts'
import { expectRawRefusal } from '../support/refusal.ts'
import type { TestServer } from '../support/server.ts'
import { shareUnshakenServer } from '../support/shared-server.ts'

/** What is not quite HTTP, and random requests that are. */

let server: TestServer
let image: string

shareUnshakenServer(async started => {
  server = started
  image = (await publish(server)).uuid
})

describe('not quite HTTP', () => {
  const broken: [name: string, bytes: string | Buffer][] = [
    ['no Host', 'GET /ping HTTP/1.1\r\n\r\n'],
    ['an empty Host and a strange target', 'GET http://%zz/ping HTTP/1.1\r\nHost: \r\n\r\n'],
    ['a Host that is none', 'GET /ping HTTP/1.1\r\nHost: a b\r\nContent-Length: x\r\n\r\n'],
    ['a header without a name', 'GET /ping HTTP/1.1\r\nHost: x\r\n: value\r\n\r\n'],
    ['a header with a space in its name', 'GET /ping HTTP/1.1\r\nHost: x\r\nBad Header: v\r\n\r\n'],
    ['a header with a zero byte', 'GET /ping HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n'],
    ['giant headers', `GET /ping HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(40_000)}\r\n\r\n`],
    ['a giant path', `GET /${'x'.repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
    ['garbage', Buffer.from(Array.from({ length: 500 }, (_, index) => (index * 37) % 256))],
    ['TLS', Buffer.from('16030100c6010000c20303', 'hex')],
    ['a method of its own', 'NOPE /ping HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a version of its own', 'GET /ping HTTP/9.9\r\nHost: x\r\n\r\n'],
    [
      'a length and chunks at once',
      rawRequest('POST /images', { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' }),
    ],
    ['two lengths', rawRequest('POST /images', { 'Content-Length': '5\r\nContent-Length: 6' })],
    ['a length below zero', rawRequest('POST /images', { 'Content-Length': '-5' })],
    ['a length that is no number', rawRequest('POST /images', { 'Content-Length': '5x' })],
    ['an unknown transfer encoding', rawRequest('POST /images', { 'Transfer-Encoding': 'zip' })],
    [
      'chunks of no length',
      Buffer.concat([
        rawRequest('POST /images', { 'Transfer-Encoding': 'chunked' }),
        Buffer.from('zz\r\nx\r\n'),
      ]),
    ],
    ['a line feed in a header', 'GET /ping HTTP/1.1\r\nHost: x\r\nA: b\nc\r\n\r\n'],
  ]

  test.for(broken)('%s', async ([, bytes]) => expectRawRefusal(await sendRaw(server.port, bytes)))

  test('chunks that break off in an upload leave nothing', async () => {
    const { uuid } = await create(server)
    const head = rawRequest(`PUT /images/${uuid}/file`, { 'Transfer-Encoding': 'chunked' })
    await sendRaw(server.port, Buffer.concat([head, Buffer.from('5\r\nhello\r\nzz\r\n')]))
    expect((await call(server, 'GET', `/images/${uuid}`)).body.files).toEqual([])
  })

  test('a request id cannot bring headers of its own', async () => {
    for (const id of ['a\\r\\nX-Evil: 1', 'a%0d%0aX-Evil: 1', 'a\tb', 'ü', 'x'.repeat(10_000)]) {
      const answer = await sendRaw(server.port, rawRequest('GET /ping', { 'x-request-id': id }))
      expect(answer.status).toBe(200)
      expect(answer.head).not.toMatch(/^x-evil/im)
      expect(answer.head.length).toBeLessThan(1000)
    }
  })
})

describe('random requests', () => {
  const id = fc.constantFrom('IMAGE', '0dead000-0000-4000-8000-00000000dead', 'nope', '%2e%2e', '')
  const tail = fc.constantFrom('', '/file', '/icon', '/acl', '/', '/file/from-url', '//')
  const path = fc.oneof(
    fc.tuple(id, tail).map(([uuid, rest]) => `/images/${uuid}${rest}`),
    fc.constantFrom('/images', '/ping', '/', '/docs', '/datasets', '/channels'),
    fc.webPath(),
  )
  const parameter = fc.constantFrom(
    'action',
    'state',
    'limit',
    'marker',
    'sort',
    'account',
    'public',
    'index',
    'sha1',
  )
  const word = fc.oneof(
    fc.constantFrom('activate', 'update', 'import', 'all', 'true', '-1', '1e9', '', '~', '!', '9'.repeat(30)),
    fc.string({ unit: 'binary', maxLength: 20 }),
  )
  const query = fc.array(fc.tuple(fc.oneof(parameter, fc.string()), word), { maxLength: 4 })
  const body = fc.oneof(
    fc.constant(''),
    fc.json(),
    fc.string(),
    fc
      .record({ name: fc.anything(), tags: fc.object(), uuid: fc.string(), files: fc.array(fc.anything()) })
      .map(value => JSON.stringify(value)),
  )
  const header = fc.constantFrom(
    'If-Match',
    'If-None-Match',
    'Range',
    'If-Range',
    'Accept-Version',
    'Content-Type',
  )
  const headers = fc.dictionary(
    header,
    fc.string({ maxLength: 30 }).map(text => text.replace(/[^ -~]/g, '')),
  )
  const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH')

  test('are answered below 500, and errors are JSON', async () => {
    const request = fc.record({ method, path, query, body, headers })
    await fc.assert(
      fc.asyncProperty(request, async ({ method, path, query, body, headers }) => {
        const search = query
          .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
          .join('&')
        const line = `${method} ${path.replace('IMAGE', image)}?${search}`
        const answer = await sendRaw(server.port, rawRequest(line, headers, body))
        expect(answer.status, `${line}\n${answer.head}`).toBeGreaterThanOrEqual(200)
        expect(answer.status, `${line}\n${answer.head}\n${answer.body}`).toBeLessThan(500)
        if (answer.status < 400 || method === 'HEAD') return
        expect(JSON.parse(answer.body)).toMatchObject({
          code: expect.any(String),
          message: expect.any(String),
        })
      }),
      { numRuns: 400 },
    )
  })
})
