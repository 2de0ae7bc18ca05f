import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { Channel } from '../images/images.ts'
import type { JobRecord } from '../imports/jobs/job-record.ts'
import type { MirrorPlan, MirrorStatus } from '../imports/mirror/status.ts'
import { ImgapiReader, type Query } from '../sources/imgapi/reader.ts'
import { exchange, exchangeJson, LONGEST_LIST } from '../sources/imgapi/transport.ts'
import type { Target } from './target.ts'
import { type ClientRequest, ClientTransport, type TransportOptions } from './transport.ts'
import type { Pong, RemoteImage } from './types.ts'

type Options = Pick<ClientRequest, 'headers' | 'body'> & { query?: Query }

/**
 * The client of the command line: reads and changes a server. Its methods throw ClientError, and the reason of the signal
 * once that is aborted.
 */
export class ImgapiClient extends ImgapiReader<RemoteImage> {
  /** Without credentials and channel. */
  readonly url: URL
  readonly #transport: ClientTransport

  constructor({ url, channel, ...target }: Omit<Target, 'userToAsk'>, options: TransportOptions) {
    const transport = new ClientTransport(target, options)
    const base = new URL(url.href)
    if (channel !== undefined) base.searchParams.set('channel', channel)
    super(transport, base)
    this.url = url
    this.#transport = transport
  }

  ping() {
    return this.#json<Pong>('GET', '/ping')
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
    await exchange(this.#transport, this.#request('DELETE', `/images/${uuid}`, { query }))
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
    return this.#json<RemoteImage>('PUT', `/images/${uuid}/file`, { query, headers, body: stream })
  }

  addIcon(uuid: string, icon: Buffer, contentType: string, sha1: string) {
    const headers = { 'content-type': contentType }
    return this.#json<RemoteImage>('PUT', `/images/${uuid}/icon`, { query: { sha1 }, headers, body: icon })
  }

  listChannels() {
    return this.#json<(Pick<Channel, 'name'> & Partial<Channel>)[]>('GET', '/channels')
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
    return this.#json<MirrorStatus[]>('GET', '/mirrors', { query })
  }

  /** Starts a run of each mirror, or of one source; a run under way continues. */
  runMirrors(source?: string) {
    return this.#json<MirrorStatus[]>('POST', '/mirrors', { query: { action: 'run', source } })
  }

  /** Returns what a run would do. */
  planMirrors(source?: string) {
    const query = { action: 'run', dry_run: 'true', source }
    return this.#json<MirrorPlan[]>('POST', '/mirrors', { query })
  }

  /** Returns a response of any status with its body unread, for a resumable download. */
  get(url: URL, headers?: Record<string, string>, signal?: AbortSignal) {
    return this.#transport.get(url, headers, signal)
  }

  close() {
    return this.#transport.close()
  }

  async #json<T>(method: Dispatcher.HttpMethod, path: string, options: Options = {}): Promise<T> {
    return (await exchangeJson(this.#transport, this.#request(method, path, options))) as T
  }

  #request(method: Dispatcher.HttpMethod, path: string, { query, ...rest }: Options): ClientRequest {
    return { method, url: this.at(path, query), longest: LONGEST_LIST, ...rest }
  }
}
