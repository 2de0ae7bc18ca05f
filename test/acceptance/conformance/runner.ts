import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, addFile, bytes, call, create, md5, sha1, uuid } from '../../support/api.ts'
import { OpenApi } from '../../support/openapi.ts'
import { startServer, type TestServer } from '../../support/server.ts'

/**
 * The contract as data. A case is a request and what must come back. In its path, headers, body and expectation
 * `{image}` is the image that it is given, `{etag}` that image's ETag, and other names in braces are what the
 * suite's `setup` made.
 */
export interface Case {
  name: string
  /** Made for this case alone: an image in that state, with those fields. */
  given?: Given | [Given, Record<string, unknown>]
  /** Requests before the one that counts; they must succeed. */
  after?: Request[]
  /** `METHOD /path?query` */
  request: string
  body?: unknown
  headers?: Record<string, string>
  anonymous?: boolean
  expect: Expectation
  /** What `GET /images/{image}` shows afterwards. */
  leaves?: Record<string, unknown>
}

/** Returns what makes cases of that request, for an image in some state and with a query of their own. */
export const casesOf =
  (method: string, path = '/images/{image}') =>
  (
    name: string,
    given: Case['given'],
    query: string,
    expect: Expectation,
    more: Partial<Case> = {},
  ): Case => ({ name, ...(given && { given }), request: `${method} ${path}${query}`, expect, ...more })

type Request = string | { request: string; body?: unknown; headers?: Record<string, string> }

export type Given = 'unactivated' | 'with file' | 'active' | 'disabled' | 'failed' | 'creating'

export interface Expectation {
  status?: number
  /** An error: its body has this, and nothing else. */
  code?: string
  message?: string | RegExp
  errors?: { field: string; code: string; message?: string | RegExp }[]
  /** Parts of the body, or a whole array. */
  body?: unknown
  /** Keys that the body must not have. */
  without?: string[]
  /** The keys of the body, in their order. */
  keys?: string[]
  /** A list's images by their names, in their order. */
  names?: string[]
  /** The body as it is sent. */
  text?: string | RegExp
  /** A header's value; undefined is a header that must not be there. */
  headers?: Record<string, string | RegExp | undefined>
}

/** For the table of cases by operation at the end of the run. */
interface Meta {
  operation?: string
}

interface Suite {
  config?: Record<string, unknown>
  /** What all cases of the suite read and none changes; the answer are names for their texts. */
  setup?(server: TestServer): Promise<Record<string, string>>
}

export const CONTENT = bytes(1000)
export const UNKNOWN = '0dead000-0000-4000-8000-00000000dead'
export const ALICE = 'a11ce000-0000-4000-8000-000000000001'
export const BOB = 'b0b00000-0000-4000-8000-000000000002'
export const NOBODY = '00000000-0000-0000-0000-000000000000'

const CONSTANTS = {
  unknown: UNKNOWN,
  alice: ALICE,
  bob: BOB,
  nobody: NOBODY,
  sha1: sha1(CONTENT),
  md5: md5(CONTENT),
}

export function conformance(title: string, cases: Case[], { config = {}, setup }: Suite = {}) {
  describe(title, () => {
    let server: TestServer
    let names: Record<string, string> = CONSTANTS
    let described: OpenApi

    beforeAll(async () => {
      server = await startServer({ config, keep: true })
      described = new OpenApi((await call(server, 'GET', '/openapi.json')).body)
      names = { ...CONSTANTS, ...(await setup?.(server)) }
    })

    afterAll(async () => {
      await server.kill()
      rmSync(server.folder, { recursive: true, force: true })
    })

    for (const one of cases) test(one.name, ({ task }) => run(one, task.meta as Meta))

    async function run(one: Case, meta: Meta) {
      const fill = filler(one.given ? { ...names, ...(await make(server, filler(names)(one.given))) } : names)
      for (const step of one.after ?? []) {
        const answer = await send(server, fill(typeof step === 'string' ? { request: step } : step))
        expect(answer.status, answer.text).toBeLessThan(300)
      }
      const filled = fill(one)
      const answer = await send(server, filled)
      check(answer, fill(one.expect))
      const [method = '', target = ''] = filled.request.split(/ (.*)/)
      described.check(method, target, answer)
      meta.operation = described.operationOf(method, target) ?? 'no operation'
      if (one.leaves) {
        const shown = await call(server, 'GET', fill('/images/{image}?channel=*'))
        expect(shown.body).toMatchObject(fill(one.leaves))
      }
    }
  })
}

type Sent = Pick<Case, 'request' | 'body' | 'headers' | 'anonymous'>

function send(server: TestServer, { request, body, headers, anonymous }: Sent): Promise<Answer> {
  const space = request.indexOf(' ')
  const options = { ...(headers && { headers }), ...(anonymous && { anonymous }), body }
  return call(server, request.slice(0, space), request.slice(space + 1), options)
}

/** An image in a state, by the ways that clients have. */
async function make(server: TestServer, given: NonNullable<Case['given']>) {
  const [state, fields] = Array.isArray(given) ? given : ([given, {}] as const)
  const { uuid: image } = await create(server, fields)
  const path = `/images/${image}`
  if (state !== 'unactivated') await addFile(server, image, CONTENT)
  if (state === 'active' || state === 'disabled') await call(server, 'POST', `${path}?action=activate`)
  if (state === 'disabled') await call(server, 'POST', `${path}?action=disable`)
  if (state === 'failed' || state === 'creating') {
    await call(server, 'POST', `${path}?action=update`, { body: { state } })
  }
  const shown = await call(server, 'GET', path)
  if (shown.body.state !== (state === 'with file' ? 'unactivated' : state)) throw new Error(shown.text)
  return { image, etag: shown.headers.get('etag')!.replaceAll('"', ''), fresh: uuid() }
}

/** Puts names' texts in place of `{name}`, everywhere in a value. */
function filler(names: Record<string, string>) {
  const fillText = (text: string) => text.replace(/\{(\w+)\}/g, (whole, name) => names[name] ?? whole)
  const fill = (value: unknown): unknown => {
    if (typeof value === 'string') return fillText(value)
    if (Array.isArray(value)) return value.map(fill)
    if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) {
      return value
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [fillText(key), fill(item)]))
  }
  return <T>(value: T) => fill(value) as T
}

const like = (expected: string | RegExp) =>
  expected instanceof RegExp ? expect.stringMatching(expected) : expected

function check(answer: Answer, expected: Expectation) {
  const { status = 200, code, message, errors, body, without, keys, names, text, headers = {} } = expected
  expect(answer.status, answer.text).toBe(status)
  if (code !== undefined) {
    expect(answer.body).toEqual({
      code,
      message: message === undefined ? expect.any(String) : like(message),
      ...(errors && {
        errors: errors.map(error => ({ ...error, ...(error.message && { message: like(error.message) }) })),
      }),
    })
    expect(answer.headers.get('content-type')).toBe('application/json')
  }
  if (Array.isArray(body)) expect(answer.body).toEqual(body)
  else if (body !== undefined) expect(answer.body).toMatchObject(body as object)
  for (const key of without ?? []) expect(answer.body).not.toHaveProperty(key)
  if (keys) expect(Object.keys(answer.body)).toEqual(keys)
  if (names) expect(answer.body.map((image: { name: string }) => image.name)).toEqual(names)
  if (text !== undefined) expect(answer.text).toEqual(like(text))
  for (const [name, value] of Object.entries(headers)) {
    expect(answer.headers.get(name), name).toEqual(value === undefined ? null : like(value))
  }
}

/** The errors that most cases expect, by the words of the contract. */
export const invalidParameter = (field: string, message: string | RegExp, code = 'Invalid'): Expectation => ({
  status: 422,
  code: 'InvalidParameter',
  message,
  errors: [{ field, code }],
})

type Problem = [field: string, code: string, message?: string | RegExp | undefined]

export const validationFailed = (
  problems: Problem[],
  message = `invalid image data: ${problems.map(([field]) => field).join(', ')}`,
): Expectation => ({
  status: 422,
  code: 'ValidationFailed',
  message,
  errors: problems.map(([field, code, text]) => ({
    field,
    code,
    ...(text !== undefined && { message: text }),
  })),
})

/** One field with one problem, as most are. */
export const invalidField = (field: string, message?: string | RegExp, code = 'Invalid') =>
  validationFailed([[field, code, message]])

export const notAllowed = (...problems: [field: string, message: string][]) =>
  validationFailed(
    problems.map(([field, message]): Problem => [field, 'NotAllowed', message]),
    `invalid image update data: ${problems.map(([field]) => field).join(', ')}`,
  )

export const failure = (status: number, code: string, message: string | RegExp): Expectation => ({
  status,
  code,
  message,
})

export const notFound = (message: string | RegExp) => failure(404, 'ResourceNotFound', message)
export const imageNotFound = notFound('image {image} not found')
export const unknownImage = notFound('image {unknown} not found')
export const unauthorized: Expectation = {
  ...failure(401, 'UnauthorizedError', 'Unauthorized'),
  headers: { 'www-authenticate': /^Basic / },
}
export const preconditionFailed = (message: string | RegExp) => failure(412, 'PreconditionFailed', message)
