import { createHash } from 'node:crypto'
import { Agent } from 'node:http'
import { md5, sha1, uuid } from './api.ts'
import { type Reply, send } from './http.ts'

/**
 * imgadm as servers see it: the requests it makes, in its order and with its headers, and what it cannot do
 * without in the answers. Where imgadm would crash or give up, this throws.
 */

export class ImgadmError extends Error {
  override readonly name = 'ImgadmError'
  readonly status: number

  constructor(message: string, status = 0) {
    super(message)
    this.status = status
  }
}

export interface Manifest {
  v: number
  uuid: string
  state: string
  origin?: string
  files: { sha1: string; size: number; compression: string }[]
  [key: string]: unknown
}

interface Row {
  uuid: string
  type: string
  published_at: string
  tags?: Record<string, string>
}

const COMPRESSIONS = ['none', 'gzip', 'bzip2', 'xz']

export class Imgadm {
  /** Every request made, as `GET /images`. */
  readonly requests: string[] = []
  readonly #origin: string
  readonly #basePath: string
  readonly #login: Record<string, string>
  readonly #channel: string | null
  /** Kept alive by one run of imgadm: one for the calls, one for the files. */
  readonly #calls = new Agent({ keepAlive: true })
  readonly #files = new Agent({ keepAlive: true })
  readonly #runId = uuid()

  /** `url`: as given to `imgadm sources -a`, with user and password or a channel in it if need be. */
  constructor(url: string) {
    const { origin, pathname, username, password, searchParams } = new URL(url)
    this.#origin = origin
    this.#basePath = pathname.replace(/\/+$/, '')
    this.#channel = searchParams.get('channel')
    const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
    this.#login = username === '' ? {} : { authorization: `Basic ${credentials.toString('base64')}` }
  }

  close() {
    this.#calls.destroy()
    this.#files.destroy()
  }

  /** `imgadm sources -a URL` */
  async ping(): Promise<Reply> {
    const reply = await this.#get('/ping', {})
    if (reply.status !== 200 || !parse(reply).imgapi) throw failure(reply)
    return reply
  }

  /** `imgadm avail` */
  async avail(): Promise<Row[]> {
    const rows = new Map<string, Row>()
    let page = await this.#list({})
    let marker: string | undefined
    for (;;) {
      const size = page.length
      if (marker !== undefined && page[0]?.uuid === marker) page.shift()
      for (const row of page) rows.set(row.uuid, row)
      const last = page.at(-1)?.uuid
      if (size < 1000 || last === undefined || last === marker) break
      marker = last
      page = await this.#list({ marker, limit: '1000' })
    }
    for (const row of rows.values()) showRow(row)
    return [...rows.values()]
  }

  /** `imgadm show UUID` */
  async show(id: string): Promise<Manifest> {
    const reply = await this.getImage(id)
    if (reply.status !== 200) throw failure(reply)
    return parse(reply)
  }

  getImage = (id: string): Promise<Reply> => this.#get(`/images/${id}`)

  /** `imgadm import UUID`: the image and its origins, and all their bytes. */
  async import(id: string): Promise<{ manifest: Manifest; content: Buffer }[]> {
    const chain: Manifest[] = []
    for (let next: string | undefined = id; next; next = chain.at(-1)!.origin) {
      const manifest = await this.show(next)
      checkManifest(manifest, next, chain.length === 0)
      chain.push(manifest)
    }
    const install = async (manifest: Manifest) => ({ manifest, content: await this.#download(manifest) })
    return Promise.all(chain.reverse().map(install))
  }

  /** `imgadm publish -m MANIFEST -f FILE URL` */
  async publish(manifest: Record<string, unknown>, content: Uint8Array): Promise<Manifest> {
    const [file] = manifest.files as Manifest['files']
    const id = manifest.uuid as string
    const imported = await this.#post(`/images/${id}`, manifest, { action: 'import' })
    if (imported.status >= 300) throw failure(imported)
    try {
      const stored = await this.#put(id, file!, content)
      if (stored.status >= 300) throw failure(stored)
      const [answered] = parse(stored).files
      if (answered.sha1 !== file!.sha1 || answered.size !== file!.size)
        throw new ImgadmError('other sha1 or size')
      const activated = await this.#post(`/images/${id}`, {}, { action: 'activate' })
      if (activated.status >= 300) throw failure(activated)
      return parse(activated)
    } catch (error) {
      await this.#publishing('DELETE', `/images/${id}`, {}, { 'content-length': 0 })
      throw error
    }
  }

  /** `imgadm create -p URL VM FIELD=VALUE...`: a file system becomes an image that is published at once. */
  create(words: readonly string[], content: Uint8Array): Promise<Manifest> {
    return this.publish(builtManifest(content, parseWords(words)), content)
  }

  async #list(query: Record<string, string>): Promise<Row[]> {
    const reply = await this.#get('/images', { ...this.#channelQuery(), ...query })
    if (reply.status !== 200) throw failure(reply)
    return parse(reply)
  }

  /** What the client must be able to store and unpack; else it aborts in the middle of the work. */
  async #download({ uuid: id, files: [file] }: Manifest): Promise<Buffer> {
    const reply = await this.#get(`/images/${id}/file`, this.#channelQuery(), this.#files)
    if (reply.status !== 200 && reply.status !== 206) throw failure(reply)
    if (Number(reply.headers['content-length']) !== file!.size)
      throw new ImgadmError('missing or invalid Content-Length')
    if (sha1(reply.body) !== file!.sha1) throw new ImgadmError('other sha1')
    return reply.body
  }

  #channelQuery = (): Record<string, string> => (this.#channel === null ? {} : { channel: this.#channel })

  #get(path: string, query = this.#channelQuery(), agent = this.#calls): Promise<Reply> {
    const headers = {
      'x-request-id': this.#runId,
      accept: 'application/json',
      'user-agent': 'imgadm/3.9.5 (node/0.10.48; OpenSSL/1.0.1u)',
      'accept-version': '~2',
      date: new Date().toUTCString(),
      ...this.#login,
    }
    return this.#send('GET', path, query, { headers, agent })
  }

  #post(path: string, value: unknown, query: Record<string, string>) {
    const body = JSON.stringify(value)
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'content-md5': md5(Buffer.from(body)),
    }
    return this.#publishing('POST', path, query, headers, body)
  }

  /** The body is the image, whatever its type says: imgadm's two HTTP clients share an object of headers. */
  #put(id: string, { sha1: digest, size, compression }: Manifest['files'][number], body: Uint8Array) {
    const headers = { 'content-type': 'application/json', 'Content-Length': size }
    return this.#publishing('PUT', `/images/${id}/file`, { compression, sha1: digest }, headers, body)
  }

  /** On a new connection each, closed afterwards. */
  #publishing(
    method: string,
    path: string,
    query: Record<string, string>,
    headers: Record<string, string | number>,
    body?: string | Uint8Array,
  ) {
    const common = {
      accept: 'application/json',
      'user-agent': 'imgadm/3.9.5 (node/0.10.48; OpenSSL/1.0.1u)',
      'accept-version': '*',
      date: new Date().toUTCString(),
      Connection: 'close',
      ...this.#login,
    }
    const options = { headers: { ...common, ...headers }, agent: false as const, ...(body && { body }) }
    return this.#send(method, path, { ...this.#channelQuery(), ...query }, options)
  }

  #send(method: string, path: string, query: Record<string, string>, options: Parameters<typeof send>[2]) {
    const search = new URLSearchParams(query).toString()
    const target = `${this.#basePath}${path}${search && `?${search}`}`
    this.requests.push(`${method} ${target}`)
    return send(this.#origin + target, method, options)
  }
}

/** The manifest that `imgadm create` writes beside a file. */
export const builtManifest = (content: Uint8Array, changes: Record<string, unknown> = {}) => ({
  v: 2,
  uuid: uuid(),
  owner: '00000000-0000-0000-0000-000000000000',
  name: 'built-here',
  version: '1.0.0',
  state: 'active',
  disabled: false,
  public: true,
  published_at: '2026-01-02T03:04:05Z',
  type: 'zone-dataset',
  os: 'smartos',
  files: [{ sha1: sha1(content), size: content.length, compression: 'none' }],
  ...changes,
})

/** What imgadm makes of its arguments: JSON where it is some, so that `version=1.0` is a number. */
function parseWords(words: readonly string[]): Record<string, unknown> {
  const fields = words.map(word => {
    const [name = '', ...value] = word.split('=')
    const text = value.join('=')
    try {
      return [name, JSON.parse(text)]
    } catch {
      return [name, text]
    }
  })
  return Object.fromEntries(fields)
}

/** A digest is checked if there is one, and the text of an error is the body if that is not JSON. */
function parse(reply: Reply) {
  const expected = reply.headers['content-md5']
  const actual = createHash('md5').update(reply.body).digest('base64')
  if (expected !== undefined && expected !== actual) throw new ImgadmError('BadDigest')
  return JSON.parse(reply.body.toString())
}

function failure(reply: Reply): ImgadmError {
  const { code, message } = parse(reply)
  if (typeof message !== 'string') throw new Error('imgadm crashes: the message of an error is no string')
  return new ImgadmError(`error (${code}): ${message}`, reply.status)
}

function showRow({ type, published_at, tags }: Row) {
  if (typeof published_at !== 'string') throw new Error('imgadm crashes: published_at is no string')
  if (type === 'docker' && !tags?.['docker:id']) throw new Error("imgadm crashes: no tags['docker:id']")
}

function checkManifest(manifest: Manifest, id: string, isWanted: boolean) {
  const { v, uuid: answered, state, files } = manifest
  if (!(v >= 2)) throw new ImgadmError('InvalidManifest: no "v"')
  if (answered !== id) throw new ImgadmError('another image was answered')
  if (isWanted && state !== 'active') throw new ImgadmError(`image ${id} is not active`)
  const [file] = files
  if (typeof file?.size !== 'number') throw new Error('imgadm crashes: no size')
  if (!COMPRESSIONS.includes(file.compression)) throw new Error('imgadm crashes: no compression')
}
