import type { Readable } from 'node:stream'
import { Agent, type Dispatcher, request } from 'undici'
import type { SourceAnswer } from '../sources/http-client.ts'
import { listPages } from '../sources/pages.ts'
import { type Authorize, authorizer } from './authorization.ts'
import { answerError, connectionError } from './client-error.ts'
import type { Target } from './target.ts'
import type { Channel, JobRecord, MirrorPlan, MirrorRecord, Pong, RemoteImage } from './types.ts'

/** A client of the Image API. Its methods throw ClientError, and the reason of the signal once that is aborted. */

export interface ClientOptions {
  userAgent: string
  /** Aborts every request. */
  signal?: AbortSignal | undefined
  /** Milliseconds without a byte after which a response fails. */
  stallTimeout?: number
}

export type Query = Record<string, string | undefined>

interface RequestOptions {
  query?: Query
  body?: unknown
  headers?: Record<string, string>
  stream?: Readable
}

const CONNECT_TIMEOUT = 15_000
/** A server may have to sync gigabytes to its disk before it answers an upload. */
const ANSWER_TIMEOUT = 10 * 60_000

export class ImgapiClient {
  readonly url: URL
  readonly #channel: string | undefined
  readonly #options: ClientOptions
  readonly #agent: Agent
  readonly #authorize: Authorize

  constructor({ url, credentials, channel, insecure }: Omit<Target, 'userToAsk'>, options: ClientOptions) {
    this.url = url
    this.#channel = channel
    this.#options = options
    this.#authorize = authorizer(credentials)
    this.#agent = new Agent({
      headersTimeout: ANSWER_TIMEOUT,
      bodyTimeout: options.stallTimeout ?? 60_000,
      connect: { timeout: CONNECT_TIMEOUT, ...(insecure && { rejectUnauthorized: false }) },
    })
  }

  close() {
    return this.#agent.destroy()
  }

  ping() {
    return this.#json<Pong>('GET', '/ping')
  }

  /** Yields the images that match the filters of ListImages, a page at a time. */
  listPages(filters: Query = {}): AsyncGenerator<RemoteImage[]> {
    return listPages(page => this.#json('GET', '/images', { query: { ...filters, ...page } }))
  }

  async listImages(filters: Query = {}): Promise<RemoteImage[]> {
    const images: RemoteImage[] = []
    for await (const page of this.listPages(filters)) images.push(...page)
    return images
  }

  getImage(uuid: string) {
    return this.#json<RemoteImage>('GET', `/images/${uuid}`)
  }

  /** Returns undefined if the image does not exist. */
  async findImage(uuid: string): Promise<RemoteImage | undefined> {
    try {
      return await this.getImage(uuid)
    } catch (error) {
      if (error instanceof Error && 'isNotFound' in error && error.isNotFound) return undefined
      throw error
    }
  }

  createImage(manifest: unknown) {
    return this.#json<RemoteImage>('POST', '/images', { body: manifest })
  }

  importImage(uuid: string, manifest: unknown) {
    return this.act(uuid, 'import', { body: manifest })
  }

  act(
    uuid: string,
    action: 'activate' | 'enable' | 'disable' | 'update' | 'import' | 'channel-add',
    { body = {}, query = {} }: { body?: unknown; query?: Query } = {},
  ) {
    return this.#json<RemoteImage>('POST', `/images/${uuid}`, { query: { action, ...query }, body })
  }

  /** Starts a job on the server that imports the image and its origins from a source. */
  importRemote(uuid: string, source: string) {
    return this.#json<{ image_uuid: string; job_uuid: string }>('POST', `/images/${uuid}`, {
      query: { action: 'import-remote', source },
    })
  }

  async deleteImage(uuid: string, { everyChannel = false } = {}) {
    const query = { force_all_channels: everyChannel ? 'true' : undefined }
    await this.#text('DELETE', `/images/${uuid}`, { query })
  }

  changeAcl(uuid: string, action: 'add' | 'remove', accounts: readonly string[]) {
    return this.#json<RemoteImage>('POST', `/images/${uuid}/acl`, { query: { action }, body: accounts })
  }

  /** Uploads a file; the stream must have exactly `size` bytes. */
  addFile(
    uuid: string,
    stream: Readable,
    {
      size,
      ...query
    }: {
      size: number
      compression: string
      sha1: string
      index?: string | undefined
      dataset_guid?: string | undefined
    },
  ) {
    const headers = { 'content-length': String(size), 'content-type': 'application/octet-stream' }
    return this.#json<RemoteImage>('PUT', `/images/${uuid}/file`, { query, headers, stream })
  }

  addIcon(uuid: string, icon: Buffer, contentType: string, sha1: string) {
    const headers = { 'content-type': contentType }
    return this.#json<RemoteImage>('PUT', `/images/${uuid}/icon`, { query: { sha1 }, headers, body: icon })
  }

  listChannels() {
    return this.#json<Channel[]>('GET', '/channels')
  }

  listJobs(query: Query = {}) {
    return this.#json<JobRecord[]>('GET', '/jobs', { query })
  }

  getJob(uuid: string) {
    return this.#json<JobRecord>('GET', `/jobs/${uuid}`)
  }

  cancelJob(uuid: string) {
    return this.#json<JobRecord>('DELETE', `/jobs/${uuid}`)
  }

  /** Lists the mirrors; with `actions`, also what the current or last run did. */
  listMirrors({ source, actions = false }: { source?: string | undefined; actions?: boolean } = {}) {
    const query = { source, actions: actions ? 'true' : undefined }
    return this.#json<MirrorRecord[]>('GET', '/mirrors', { query })
  }

  /** Starts a run of each mirror, or of one source; a run under way continues. */
  runMirrors(source?: string) {
    return this.#json<MirrorRecord[]>('POST', '/mirrors', { query: { action: 'run', source } })
  }

  /** Returns what a run would do. */
  planMirrors(source?: string) {
    const query = { action: 'run', dry_run: 'true', source }
    return this.#json<MirrorPlan[]>('POST', '/mirrors', { query })
  }

  /** Returns the URL of a file of an image. */
  fileUrl(uuid: string, index = 0): URL {
    return this.#at(`/images/${uuid}/file`, { index: index === 0 ? undefined : String(index) })
  }

  /** Returns a response of any status with its body unread, for a resumable download. */
  async get(url: URL, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<SourceAnswer> {
    const answer = await this.#send('GET', url, { headers }, signal)
    const { statusCode: status, headers: found } = answer
    const body = answer.body as SourceAnswer['body']
    return { origin: url.origin, status, headers: found, body, bytes: body }
  }

  #at(path: string, query: Query = {}): URL {
    const url = new URL(this.url.href)
    url.pathname = url.pathname.replace(/\/+$/, '') + path
    for (const [name, value] of Object.entries({ channel: this.#channel, ...query })) {
      if (value !== undefined) url.searchParams.append(name, value)
    }
    return url
  }

  async #json<T>(method: Dispatcher.HttpMethod, path: string, options: RequestOptions = {}): Promise<T> {
    const { info, answer, body } = await this.#text(method, path, options)
    try {
      return JSON.parse(body) as T
    } catch {
      const message = 'the answer is not JSON: is this an image server?'
      const error = answerError(info, { status: answer.statusCode, headers: answer.headers, body })
      error.message = message
      throw error
    }
  }

  async #text(method: Dispatcher.HttpMethod, path: string, options: RequestOptions = {}) {
    const url = this.#at(path, options.query)
    const info = { method, url: url.href }
    try {
      const answer = await this.#send(method, url, options, this.#options.signal)
      const body = await answer.body.text()
      const { statusCode: status, headers } = answer
      if (status >= 300) throw answerError(info, { status, headers, body })
      return { info, answer, body }
    } catch (error) {
      this.#options.signal?.throwIfAborted()
      throw connectionError(info, error)
    }
  }

  #send(method: Dispatcher.HttpMethod, url: URL, options: RequestOptions, signal: AbortSignal | undefined) {
    const { body, stream, headers } = options
    const isBytes = Buffer.isBuffer(body)
    const isJson = body !== undefined && !isBytes
    return request(url.href, {
      method,
      dispatcher: this.#agent,
      signal: signal ?? null,
      headers: {
        'user-agent': this.#options.userAgent,
        'accept-version': '~2',
        accept: 'application/json',
        ...(isJson && { 'content-type': 'application/json' }),
        ...headers,
        ...this.#authorize(),
      },
      body: stream ?? (isBytes ? body : isJson ? JSON.stringify(body) : null),
    })
  }
}
