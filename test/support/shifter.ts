import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { namesIn } from './folders.ts'
import { json, send } from './http.ts'
import { run } from './run.ts'
import { type ServerOptions, startServer, type TestServer, temporaryFolder } from './server.ts'
import { until } from './until.ts'

/** A server with the Shifter gateway, and what its clients do. */

export interface ShifterServer {
  server: TestServer
  url: string
  port: number
  /** Folder of images of the system `mycluster`, unless the test has systems of its own. */
  imageDir: string
}

export interface ShifterOptions extends ServerOptions {
  /** Merged over an imagemanager.json with one local system and mock authentication. */
  imagemanager?: Record<string, unknown>
  /** Beside port and config. */
  settings?: Record<string, unknown>
  /** Of the system; a new folder by default. */
  imageDir?: string
}

export const SYSTEM = 'mycluster'
export const ADMIN = 'root'

export async function startShifter(options: ShifterOptions = {}): Promise<ShifterServer> {
  const {
    imagemanager,
    settings,
    config: more,
    imageDir = join(temporaryFolder(), 'images'),
    ...rest
  } = options
  mkdirSync(imageDir, { recursive: true })
  const config = {
    DefaultImageLocation: 'registry.example.com',
    Locations: { 'registry.example.com': { remotetype: 'dockerv2', url: 'http://127.0.0.1:1' } },
    Platforms: { [SYSTEM]: { accesstype: 'local', admins: [ADMIN], local: { imageDir } } },
    Authentication: 'mock',
    Metrics: true,
    WorkerThreads: 4,
    ImportUsers: 'all',
    ...imagemanager,
  }
  const gateways = { shifter: { port: 0, config, ...settings } }
  const imports = { retries: 2, firstDelay: 10, longestDelay: 50 }
  const server = await startServer({ ...rest, config: { gateways, imports, ...more } })
  const { port } = await announcement(server)
  return { server, port, url: `http://127.0.0.1:${port}`, imageDir }
}

/** Where the gateway says that it is. */
export async function announcement(server: TestServer): Promise<{ port: number; msg: string }> {
  const find = () => server.log().find(({ gateway, port }) => gateway === 'shifter' && port !== undefined)
  await until('the gateway listens', () => find() !== undefined)
  const { port, msg } = find()!
  return { port: port as number, msg }
}

export interface User {
  name: string
  uid?: number
  gid?: number
  /** Registry logins by Location. */
  logins?: Record<string, string>
}

export const ALICE: User = { name: 'alice', uid: 5001, gid: 6001 }
export const BOB: User = { name: 'bob', uid: 5002, gid: 6002 }
export const ROOT: User = { name: ADMIN, uid: 0, gid: 0 }

/** A credential that mock authentication believes. */
export function mock({ name, uid, gid, logins }: User): string {
  const payload = logins ? encodeURIComponent(JSON.stringify({ authorized_locations: logins })) : ''
  return uid === undefined
    ? `good:${name}:${name}:${payload}`
    : `good:${name}:${name}:${payload}:${uid}:${gid}`
}

export interface ShifterAnswer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it in a hundred ways
  body: any
  text: string
  type: string | undefined
}

/** `as`: a user for mock authentication, a credential as it is, or no user. */
export async function ask(
  { url }: Pick<ShifterServer, 'url'>,
  method: string,
  path: string,
  { as = ALICE, body }: { as?: User | string | undefined | null; body?: unknown } = {},
): Promise<ShifterAnswer> {
  const credential = typeof as === 'object' && as !== null ? mock(as) : as
  const answer = await send(url + path, method, {
    headers: { ...(credential && { authentication: credential }), 'content-type': 'application/json' },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const type = answer.headers['content-type']
  return {
    status: answer.status,
    body: type === 'application/json' ? json(answer) : undefined,
    text: answer.body.toString(),
    type,
  }
}

export interface PullOptions {
  as?: User
  body?: unknown
  system?: string
}

export const pathOf = (verb: string, system: string, tag: string, type = 'docker') =>
  `/api/${verb}/${system}/${type}/${encodeURIComponent(tag)}/`

export const postPull = (
  gateway: Pick<ShifterServer, 'url'>,
  tag: string,
  { as = ALICE, body, system = SYSTEM }: PullOptions = {},
) => ask(gateway, 'POST', pathOf('pull', system, tag), { as, body })

/** States in which the real client asks again. */
const POLLED = ['MISSING', 'INIT', 'PENDING', 'PULLING', 'EXAMINATION', 'CONVERSION', 'TRANSFER']

/** What the real client does: the same request again until the image is there or is not coming. */
export async function pull(gateway: Pick<ShifterServer, 'url'>, tag: string, options: PullOptions = {}) {
  let record = (await postPull(gateway, tag, options)).body
  await until(`the end of the pull of ${tag}`, async () => {
    record = (await postPull(gateway, tag, options)).body
    return !POLLED.includes(record.status)
  })
  return record
}

export const lookup = (
  gateway: Pick<ShifterServer, 'url'>,
  tag: string,
  { as = ALICE, system = SYSTEM, type = 'docker' }: { as?: User; system?: string; type?: string } = {},
) => ask(gateway, 'GET', pathOf('lookup', system, tag, type), { as })

/** Imports a file and waits until it can be looked up, or has failed, which the queue says. */
export async function importFile(
  gateway: Pick<ShifterServer, 'url'>,
  tag: string,
  filepath: string,
  { as = ALICE, body = {}, type = 'custom' }: { as?: User; body?: object; type?: string } = {},
) {
  const path = pathOf('doimport', SYSTEM, tag, type)
  const posted = await ask(gateway, 'POST', path, { as, body: { filepath, format: 'squashfs', ...body } })
  expect(posted.status, posted.text).toBe(200)
  let queue: { status: string; image: string }[] = []
  await until(`the end of the import of ${tag}`, async () => {
    queue = (await ask(gateway, 'GET', `/api/queue/${SYSTEM}/`, { as })).body.list
    const isOver = ({ image, status }: { image: string; status: string }) =>
      ![tag, `${tag}:latest`].includes(image) || status === 'FAILURE'
    return queue.every(isOver)
  })
  return (await lookup(gateway, tag, { as, type })).body
}

/** Waits until the folder has the two files of each image and nothing else, and nothing half-made is left. */
export async function expectOnly({ server }: ShifterServer, imageDir: string, ids: string[]) {
  const wanted = ids.flatMap(id => [`${id}.meta`, `${id}.squashfs`]).sort()
  const expand = join(server.datadir, '.shifter/expand')
  await until(
    'nothing else is left',
    () => namesIn(imageDir).join() === wanted.join() && namesIn(expand).length === 0,
  )
}

/** A file that is an image of squashfs, with one file in it. */
export async function squashfs(content = 'hello\n'): Promise<string> {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'tree'))
  writeFileSync(join(folder, 'tree/file'), content)
  const path = join(folder, 'image.squashfs')
  const made = await run('mksquashfs', [join(folder, 'tree'), path, '-no-progress', '-quiet'])
  expect(made.code, made.stderr).toBe(0)
  return path
}

export interface Meta {
  /** In the order of the file. */
  lines: [string, string][]
  env: string[]
  [key: string]: unknown
}

/** Reads a meta file as the runtime does: trimmed, with its continuations, and its lists. */
export function readMeta(path: string): Meta {
  const meta: Meta = { lines: [], env: [] }
  let key: string | undefined
  let value = ''
  for (const line of readFileSync(path, 'utf8').split('\n').slice(0, -1)) {
    if (line.startsWith('#')) continue
    if (key === undefined) {
      const colon = line.indexOf(':')
      if (colon === -1) continue
      key = line.slice(0, colon).trim()
      value = line.slice(colon + 1).trim()
    } else value = `${value} ${line.trim()}`
    if (value.endsWith('\\')) {
      value = value.slice(0, -1).trim()
      continue
    }
    meta.lines.push([key, value])
    if (key === 'ENV') meta.env.push(value)
    else meta[key] = key === 'ENTRY' || key === 'CMD' ? readList(value) : value
    key = undefined
  }
  return meta
}

/** Quotes begin and end an item; there is no escape. */
function readList(text: string): string[] {
  if (!text.startsWith("['")) return [text]
  const parts = text.slice(1, -1).split("'")
  if (parts.length % 2 === 0 || !text.endsWith(']')) throw new Error('Malformed JSON')
  return parts.filter((_, index) => index % 2 === 1)
}
