import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { operations as mistifyOperations } from '../../src/gateways/mistify/operations.ts'
import { OPERATIONS as SHIFTER } from '../../src/gateways/shifter/operations.ts'
import { OPERATIONS } from '../../src/http/imgapi/index.ts'
import { requestLine } from '../../src/http/openapi.ts'
import type { Route } from '../../src/http/router.ts'
import { call, uuid } from '../support/api.ts'
import { startMistify } from '../support/mistify.ts'
import { OpenApi } from '../support/openapi.ts'
import { startServer, type TestServer } from '../support/server.ts'

/** The table of operations: what it says is what the server does, for every entry. */

/** What the next official client asks for, as method and path. */
const OFFICIAL = [
  'POST /authkeys/reload',
  'GET /channels',
  'GET /datasets',
  'GET /datasets/{arg}',
  'GET /images',
  'POST /images',
  'DELETE /images/{uuid}',
  'GET /images/{uuid}',
  'POST /images/{uuid}',
  'POST /images/{uuid}/acl',
  'POST /images/{uuid}/clone',
  'GET /images/{uuid}/file',
  'PUT /images/{uuid}/file',
  'POST /images/{uuid}/file/from-url',
  'DELETE /images/{uuid}/icon',
  'GET /images/{uuid}/icon',
  'PUT /images/{uuid}/icon',
  'GET /images/{uuid}/jobs',
  'POST /images/{uuid}/push',
  'GET /ping',
  'GET /state',
  'POST /state',
]

/** Both have operations that only such a server offers. */
const CONFIG = { mode: 'dc', channels: [{ name: 'release', description: 'tested', default: true }] }

let server: TestServer
beforeAll(async () => {
  server = await startServer({ config: CONFIG, keep: true })
})
afterAll(() => server.kill())

/** A request for an operation, on an image that does not exist. */
const target = ({ path, when = {} }: Route) => {
  const query = Object.entries(when).map(([name, value]) => `${name}=${value === true ? 'x' : value}`)
  return `${path.replace(/:\w+(\{[^}]*\})?/g, uuid())}${query.length > 0 ? `?${query.join('&')}` : ''}`
}

describe('the Image API', () => {
  test.for(OPERATIONS.map(one => [requestLine(one), one] as const))(
    '%s is refused to a caller without credentials if it changes something',
    async ([, one]) => {
      const { status } = await call(server, one.method, target(one), { anonymous: true })
      if (one.access === 'change' || one.access === 'operator') expect(status).toBe(401)
      else expect(status).not.toBe(401)
    },
  )

  test('what is no GET changes something, so it needs credentials', () => {
    const open = OPERATIONS.filter(({ access }) => access === 'public' || access === 'read')
    expect(open.filter(({ method }) => method !== 'GET').map(requestLine)).toEqual([])
  })

  test.for(OPERATIONS.map(one => [requestLine(one), one] as const))(
    '%s is refused to anonymous callers where they may read nothing, unless it is public',
    async ([, one]) => {
      const closed = await closedServer()
      const { status } = await call(closed, one.method, target(one), { anonymous: true })
      if (one.access === 'public') expect(status).not.toBe(401)
      else expect(status).toBe(401)
    },
  )

  test('every operation is in the docs, with its request', async () => {
    const { text } = await call(server, 'GET', '/docs', { headers: { accept: 'text/html' } })
    for (const one of OPERATIONS) {
      expect(text).toContain(`<td>${one.name}<td><code>${requestLine(one).replaceAll('&', '&amp;')}</code>`)
    }
  })

  test('/openapi.json has every operation, and all that the official client asks for', async () => {
    const { body, status } = await call(server, 'GET', '/openapi.json', { anonymous: true })
    expect(status).toBe(200)
    expect(body.openapi).toMatch(/^3\.1\./)
    const described = new OpenApi(body)
    const lines = Object.entries(described.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
    )
    expect(lines).toEqual(expect.arrayContaining(OFFICIAL))
    const names = Object.values(described.paths)
      .flatMap(methods => Object.values(methods))
      .flatMap(operation => operation['x-operations'])
      .map(({ name }) => name)
    expect(new Set(names)).toEqual(new Set(OPERATIONS.map(({ name }) => name)))
  })

  test('a method that a path does not have is refused with those that it has', async () => {
    for (const path of new Set(OPERATIONS.map(one => one.path))) {
      const methods = new Set<string>(OPERATIONS.filter(one => one.path === path).map(one => one.method))
      if (methods.has('GET')) methods.add('HEAD')
      const { status, headers } = await call(server, 'PATCH', target({ path } as Route))
      expect(status).toBe(405)
      expect(new Set(headers.get('allow')!.split(', '))).toEqual(methods)
    }
  })

  test('operations with the same method and path are told apart by the query', () => {
    const lines = OPERATIONS.map(requestLine)
    expect(new Set(lines).size).toBe(lines.length)
  })
})

let closed: Promise<TestServer> | undefined
function closedServer() {
  closed ??= startServer({ config: { ...CONFIG, anonymous: 'none' }, keep: true })
  return closed
}
afterAll(async () => {
  await (await closed)?.kill()
})

describe('the gateways', () => {
  test.for(mistifyOperations().map(one => [requestLine(one), one] as const))(
    'mistify: %s needs credentials exactly if it changes something',
    async ([, one]) => {
      const { mistify } = await startMistify()
      const { status } = await call(mistify, one.method, target(one), { anonymous: true })
      if (one.access === 'change') expect(status).toBe(401)
      else expect(status).not.toBe(401)
    },
  )

  test('each operation says what it is for', () => {
    for (const one of [...OPERATIONS, ...mistifyOperations(), ...SHIFTER] as Route[]) {
      expect(one.summary, one.name).toMatch(/^[A-Z].*\.$/)
    }
  })
})
