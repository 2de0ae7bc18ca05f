import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { bytes, uuid } from '../../support/api.ts'
import { json, send } from '../../support/http.ts'
import { ask, fetchFrom, hasStatus, type MistifyServer, startMistify, upload } from '../../support/mistify.ts'
import { AUTH } from '../../support/server.ts'
import { sendContent, startSource } from '../../support/source.ts'
import { until } from '../../support/until.ts'

/** What clients of mistify-image-service see on the wire, call by call. */

const NEVER = '0001-01-01T00:00:00Z'
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/
const FIELDS = [
  'id',
  'source',
  'type',
  'comment',
  'status',
  'size',
  'expected_size',
  'download_start',
  'download_end',
]
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

interface Case {
  name: string
  method: string
  path: string
  body?: string
  headers?: Record<string, string>
  status: number
  answer: unknown
}

const post = (name: string, body: unknown, message: unknown): Case => ({
  name: `POST ${name}`,
  method: 'POST',
  path: '/images',
  body: typeof body === 'string' ? body : JSON.stringify(body),
  status: 400,
  answer: { message },
})

const put = (name: string, headers: Record<string, string>, message: unknown, body = 'bytes'): Case => ({
  name: `PUT ${name}`,
  method: 'PUT',
  path: '/images',
  body,
  headers,
  status: 400,
  answer: { message },
})

const traced = (code: number, message: unknown) => ({ message, code, stack: [expect.any(String)] })

const NOBODY = uuid()
const WRONG_TYPE = 'invalid X-Image-Type header'

const CASES: Case[] = [
  { name: 'an empty list', method: 'GET', path: '/images', status: 200, answer: [] },
  ...['kvm', 'container'].map(type => ({
    name: `an empty list of type ${type}`,
    method: 'GET',
    path: `/images?type=${type}`,
    status: 200,
    answer: [],
  })),
  ...['vm', 'KVM', 'all'].map(type => ({
    name: `a list of the unknown type ${type}`,
    method: 'GET',
    path: `/images?type=${type}`,
    status: 400,
    answer: { message: 'invalid type' },
  })),
  ...['', 'a1', 'kvm2', '%20'].map(type => ({
    name: `a list of type "${type}", which is all`,
    method: 'GET',
    path: `/images?type=${type}`,
    status: 200,
    answer: [],
  })),
  post('without a source', { type: 'kvm' }, 'missing image source'),
  post('with an empty source', { source: '', type: 'kvm' }, 'missing image source'),
  post('with nothing right: the source is told first', {}, 'missing image source'),
  post('with null', null, 'missing image source'),
  post('without a type', { source: 'http://images.example.com/a' }, 'invalid image type'),
  post('of an unknown type', { source: 'http://images.example.com/a', type: 'zvol' }, 'invalid image type'),
  post('of a type that every object has', { source: 'http://a/', type: 'toString' }, 'invalid image type'),
  post('that is no JSON', '{"source":', expect.stringMatching(/JSON/)),
  post('of a list', [], expect.stringMatching(/^json: /)),
  post('of nothing', '', 'EOF'),
  post('with a number for a source', { source: 7, type: 'kvm' }, expect.stringMatching(/^json: "source"/)),
  post('with a source that is no URL', { source: 'images', type: 'kvm' }, expect.stringMatching(/not a URL/)),
  post(
    'with a source that is a file',
    { source: 'file:///etc/passwd', type: 'kvm' },
    expect.stringMatching(/only http and https/),
  ),
  post(
    'with a comment that is too long',
    { source: 'http://127.0.0.1/', type: 'kvm', comment: 'x'.repeat(10_241) },
    expect.stringMatching(/comment is too long/),
  ),
  put('without a type', {}, WRONG_TYPE),
  put('of an unknown type', { 'x-image-type': 'zvol' }, WRONG_TYPE),
  put('of nothing', { 'x-image-type': 'kvm' }, expect.stringMatching(/empty files are not allowed/), ''),
  ...['GET', 'DELETE'].flatMap(method =>
    [NOBODY, 'nobody', NOBODY.toUpperCase(), '%00'].map(id => ({
      name: `${method} of ${id}, which is not there`,
      method,
      path: `/images/${id}`,
      status: 404,
      answer: traced(404, 'image not found'),
    })),
  ),
  {
    name: 'a download of what is not there',
    method: 'GET',
    path: `/images/${NOBODY}/download`,
    status: 404,
    answer: traced(404, 'image not found'),
  },
  ...['/', '/image', '/images/a/b', '/images//download', '//images', '/ping'].map(path => ({
    name: `${path}, which is no path`,
    method: 'GET',
    path,
    status: 404,
    answer: traced(404, 'page not found'),
  })),
  ...(
    [
      ['PATCH', '/images', 'GET, POST, PUT, HEAD'],
      ['POST', `/images/${NOBODY}`, 'GET, DELETE, HEAD'],
      ['DELETE', `/images/${NOBODY}/download`, 'GET, HEAD'],
    ] as const
  ).map(([method, path]) => ({
    name: `${method} ${path}, which is no method of it`,
    method,
    path,
    status: 405,
    answer: traced(405, `${method} is not allowed`),
  })),
]

test('requests that find nothing or are refused are answered as the original does', async () => {
  const { mistify } = await startMistify()
  for (const { name, method, path, body, headers, status, answer } of CASES) {
    const options = { headers: { ...AUTH, ...headers }, ...(body !== undefined && { body }) }
    const reply = await send(mistify.url + path, method, options)
    expect({ status: reply.status, answer: json(reply) }, name).toEqual({ status, answer })
    expect(reply.headers['content-type'], name).toBe('application/json')
    expect(reply.headers['content-length'], name).toBe(String(reply.body.length))
    expect(reply.headers['transfer-encoding'], name).toBeUndefined()
  }
})

test.each([
  ['/images/', '/images'],
  ['/images/?type=kvm', '/images?type=kvm'],
  [`/images/${NOBODY}/`, `/images/${NOBODY}`],
  [`/images/${NOBODY}/download/`, `/images/${NOBODY}/download`],
])('%s is at %s', async (path, location) => {
  const { mistify } = await startMistify()
  for (const method of ['GET', 'POST', 'DELETE']) {
    const reply = await send(mistify.url + path, method)
    expect(reply).toMatchObject({ status: 301, headers: { location, 'content-length': '0' } })
  }
})

describe('POST /images', () => {
  test('answers 202 with the image, which is pending, then downloading, then complete', async () => {
    const content = bytes(100_000)
    const held: (() => void)[] = []
    const source = await startSource((request, response) => {
      held.push(() => sendContent(content, request, response))
    })
    const server = await startMistify()
    const url = `${source.url}/guests/debian-12.zfs.gz`
    const asked = await fetchFrom(server, url, { comment: 'Debian 12' })
    expect(asked.status).toBe(202)
    expect(Object.keys(asked.body)).toEqual(FIELDS)
    expect(asked.body).toMatchObject({
      id: expect.stringMatching(UUID),
      source: url,
      type: 'kvm',
      comment: 'Debian 12',
      status: expect.stringMatching(/^(pending|downloading)$/),
      size: 0,
      expected_size: 0,
      download_end: NEVER,
    })
    const { id } = asked.body
    const downloading = await hasStatus(server, id, 'downloading')
    expect(Object.keys(downloading)).toEqual(FIELDS)
    expect(downloading).toMatchObject({
      download_start: expect.stringMatching(TIME),
      download_end: NEVER,
    })
    expect((await ask(server, 'GET', '/images')).body).toMatchObject([{ id, status: 'downloading' }])
    const early = await ask(server, 'GET', `/images/${id}/download`)
    expect({ status: early.status, body: early.body }).toEqual({
      status: 404,
      body: traced(404, 'incomplete image'),
    })
    await until('the source is asked', () => held.length === 1)
    held.shift()!()
    const complete = await hasStatus(server, id, 'complete')
    expect(Object.keys(complete)).toEqual(FIELDS)
    expect(complete).toEqual({
      ...downloading,
      status: 'complete',
      size: content.length,
      expected_size: content.length,
      download_end: expect.stringMatching(TIME),
    })
    expect(complete.download_end >= complete.download_start).toBe(true)
  })

  test('waits its turn as pending while other fetches run', async () => {
    const source = await startSource(() => {})
    const server = await startMistify({ config: { imports: { concurrency: 1 } } })
    const first = await fetchFrom(server, `${source.url}/first`)
    await hasStatus(server, first.body.id, 'downloading')
    const second = await fetchFrom(server, `${source.url}/second`)
    expect(second.body).toMatchObject({ status: 'pending', download_start: NEVER, download_end: NEVER })
    expect((await ask(server, 'GET', '/images')).body).toMatchObject([
      { id: first.body.id, status: 'downloading' },
      { id: second.body.id, status: 'pending' },
    ])
    const deleted = await ask(server, 'DELETE', `/images/${second.body.id}`)
    expect(deleted).toMatchObject({ status: 200, body: second.body })
    expect((await ask(server, 'GET', '/images')).body).toMatchObject([{ id: first.body.id }])
  })

  test('expects -1 bytes of a source that does not say how many it has', async () => {
    const content = bytes(50_000)
    let end = () => {}
    const source = await startSource((_, response) => {
      response.write(content.subarray(0, 20_000))
      end = () => response.end(content.subarray(20_000))
    })
    const server = await startMistify()
    const { id } = (await fetchFrom(server, source.url)).body
    const expected = async () => (await ask(server, 'GET', `/images/${id}`)).body.expected_size
    await until('the source has answered', async () => (await expected()) === -1)
    end()
    expect(await hasStatus(server, id, 'complete')).toMatchObject({ size: 50_000, expected_size: -1 })
  })

  test('answers with the record there is for a source that it knows, whatever the type and comment', async () => {
    const content = bytes(1000)
    const source = await startSource((request, response) => sendContent(content, request, response))
    const server = await startMistify()
    const url = `${source.url}/a?version=1`
    const { id } = (await fetchFrom(server, url, { comment: 'first' })).body
    await hasStatus(server, id, 'complete')
    const again = await fetchFrom(server, url, { type: 'container', comment: 'second' })
    expect(again).toMatchObject({
      status: 202,
      body: { id, type: 'kvm', comment: 'first', status: 'complete' },
    })
    const other = await fetchFrom(server, `${source.url}/a?version=2`)
    expect(other.body.id).not.toBe(id)
    await hasStatus(server, other.body.id, 'complete')
    expect(source.requests.map(({ path }) => path)).toEqual(['/a?version=1', '/a?version=2'])
  })
})

describe('PUT /images', () => {
  test('answers 200 with the image when all of it is stored', async () => {
    const server = await startMistify()
    const content = bytes(70_000)
    const { status, body } = await upload(server, content, { 'x-image-comment': 'fÃ¼r alle' })
    expect(status).toBe(200)
    expect(Object.keys(body)).toEqual(FIELDS)
    expect(body).toEqual({
      id: expect.stringMatching(UUID),
      source: '',
      type: 'kvm',
      comment: 'für alle',
      status: 'complete',
      size: 70_000,
      expected_size: 70_000,
      download_start: expect.stringMatching(TIME),
      download_end: expect.stringMatching(TIME),
    })
    expect((await ask(server, 'GET', `/images/${body.id}`)).body).toEqual(body)
  })

  test('expects -1 bytes of a body that does not say how many it has', async () => {
    const { mistify } = await startMistify()
    const reply = await send(`${mistify.url}/images`, 'PUT', {
      headers: { ...AUTH, 'x-image-type': 'container' },
      body: Readable.from([Buffer.from('some '), Buffer.from('bytes')]),
    })
    expect(reply.status).toBe(200)
    expect(json(reply)).toMatchObject({ type: 'container', size: 10, expected_size: -1 })
  })

  test('takes equal bytes twice: they are two images', async () => {
    const server = await startMistify()
    const [a, b] = [await upload(server, gzipSync('x')), await upload(server, gzipSync('x'))]
    expect(a.body.id).not.toBe(b.body.id)
  })
})

test('lists are narrowed by type, and the deleted image is the answer to its deletion', async () => {
  const server = await startMistify()
  const guest = (await upload(server, bytes(10))).body
  const container = (await upload(server, bytes(10), { 'x-image-type': 'container' })).body
  const list = async (query: string) => (await ask(server, 'GET', `/images${query}`)).body
  expect(await list('')).toHaveLength(2)
  expect(await list('?type=kvm')).toEqual([guest])
  expect(await list('?type=container')).toEqual([container])
  const deleted = await ask(server, 'DELETE', `/images/${guest.id}`)
  expect({ status: deleted.status, body: deleted.body }).toEqual({ status: 200, body: guest })
  expect((await ask(server, 'GET', `/images/${guest.id}`)).status).toBe(404)
  expect((await ask(server, 'GET', `/images/${guest.id}/download`)).status).toBe(404)
  expect(await list('')).toEqual([container])
})

test('HEAD tells what GET would, without a body', async () => {
  const server: MistifyServer = await startMistify()
  const { id } = (await upload(server, bytes(5000))).body
  for (const path of ['/images', `/images/${id}`, `/images/${id}/download`]) {
    const get = await send(server.mistify.url + path, 'GET')
    const head = await send(server.mistify.url + path, 'HEAD')
    expect(head.status).toBe(200)
    expect(head.body.length).toBe(0)
    expect(head.headers['content-length']).toBe(String(get.body.length))
  }
})
