import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { AUTH, type TestServer } from './server.ts'

/** Short ways to say over HTTP what most tests need to say. */

export interface Manifest {
  uuid: string
  state: string
  files: { sha1: string; size: number; compression: string }[]
  [key: string]: unknown
}

export interface Answer {
  status: number
  headers: Headers
  /** The JSON, or undefined if the body is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it in a hundred ways
  body: any
  text: string
}

export interface CallOptions {
  /** Extra headers; `AUTH` is sent unless `anonymous`. */
  headers?: Record<string, string>
  anonymous?: boolean
  /** Sent as JSON, or as it is if it is a string or bytes. */
  body?: unknown
}

/** A request with the test user's credentials. */
export async function call(
  server: Pick<TestServer, 'url'>,
  method: string,
  path: string,
  { headers = {}, anonymous = false, body }: CallOptions = {},
): Promise<Answer> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array
  const response = await fetch(server.url + path, {
    method,
    headers: {
      ...(!anonymous && AUTH),
      ...(body !== undefined && !isRaw && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: isRaw ? (body as string) : JSON.stringify(body) }),
  })
  const text = await response.text()
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    // Not JSON: tests that want it look at `text`.
  }
  return { status: response.status, headers: response.headers, body: json, text }
}

export const manifest = (changes: Record<string, unknown> = {}) => ({
  name: 'test-image',
  version: '1.0.0',
  type: 'zone-dataset',
  os: 'smartos',
  ...changes,
})

export const sha1 = (bytes: Uint8Array) => createHash('sha1').update(bytes).digest('hex')
export const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('base64')
export const uuid = () => randomUUID()
export const bytes = (size: number) => randomBytes(size)

export async function create(
  server: Pick<TestServer, 'url'>,
  changes: Record<string, unknown> = {},
): Promise<Manifest> {
  const { status, body, text } = await call(server, 'POST', '/images', { body: manifest(changes) })
  if (status !== 200) throw new Error(`create: ${status} ${text}`)
  return body
}

export async function addFile(
  server: Pick<TestServer, 'url'>,
  id: string,
  content: Uint8Array,
  query = 'compression=none',
) {
  const { status, body, text } = await call(server, 'PUT', `/images/${id}/file?${query}`, { body: content })
  if (status !== 200) throw new Error(`add file: ${status} ${text}`)
  return body as Manifest
}

/** An active image with that content. */
export async function publish(
  server: Pick<TestServer, 'url'>,
  content: Uint8Array = bytes(1000),
  changes: Record<string, unknown> = {},
): Promise<Manifest> {
  const { uuid: id } = await create(server, changes)
  await addFile(server, id, content)
  const { status, body, text } = await call(server, 'POST', `/images/${id}?action=activate`)
  if (status !== 200) throw new Error(`activate: ${status} ${text}`)
  return body
}
