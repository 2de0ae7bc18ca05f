import { readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { Agent, type Dispatcher, request } from 'undici'
import { PrivateAddressError, publicLookup, refusePrivateLiteral } from './address-guard.ts'
import { paced } from './pace.ts'

/** Requests to other servers: with time limits, verified TLS, and no further than the config allows. */

export interface SourceSettings {
  /** It and what is below it. */
  url: string
  /** File with the certificate of the authority to trust, PEM. */
  ca?: string | undefined
  /** Trust any certificate. */
  insecure?: boolean | undefined
}

export interface HttpClientOptions {
  allowPrivate: boolean
  /** Of the config, by origin: these may be on private addresses, which where they redirect to may not. */
  trusted?: ReadonlySet<string>
  /** Milliseconds without a byte. */
  stallTimeout: number
  /** Bytes a second, on average over that time, that a source must send; 0 is any. */
  minimumRate?: number
  userAgent: string
  sources: readonly SourceSettings[]
}

/** A request that got no useful answer. */
export class SourceError extends Error {
  override readonly name = 'SourceError'
  /** Whether the same may work a little later. */
  readonly isTemporary: boolean
  readonly status: number | undefined
  /** The code in the other server's error, if it speaks the Image API. */
  readonly code: string | undefined
  /** Whether what has arrived so far is of no use, but the whole file from its beginning may be had. */
  readonly isStale: boolean

  constructor(
    message: string,
    {
      isTemporary = false,
      isStale = false,
      status,
      code,
    }: { isTemporary?: boolean; isStale?: boolean; status?: number; code?: string | undefined } = {},
    cause?: unknown,
  ) {
    super(message, { cause })
    this.isTemporary = isTemporary
    this.isStale = isStale
    this.status = status
    this.code = code
  }
}

export interface SourceAnswer {
  /** Who answered, after redirects. */
  origin: string
  status: number
  headers: Record<string, string | string[] | undefined>
  body: Readable & { dump(): Promise<unknown> }
  /** The bytes of the body. End with a SourceError if they come too slowly. */
  bytes: AsyncIterable<Buffer>
}

const MOST_REDIRECTS = 5
/** Milliseconds in which a host that is there answers, even if the first two packets are lost. */
const CONNECT_TIMEOUT = 5000

export class HttpClient {
  readonly #options: HttpClientOptions
  readonly #agents = new Map<string, Agent>()

  constructor(options: HttpClientOptions) {
    this.#options = options
  }

  get allowsPrivate() {
    return this.#options.allowPrivate
  }

  /** How a host is reached: as a source of the config says, else with TLS, or without it on this machine. */
  schemeOf(host: string): 'http' | 'https' {
    const source = this.#options.sources.map(({ url }) => new URL(url)).find(url => url.host === host)
    if (source) return source.protocol === 'http:' ? 'http' : 'https'
    return /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(host) ? 'http' : 'https'
  }

  /**
   * GET, following redirects. Credentials, in the URL or in the header `authorization`, go to its own server and
   * to no other. Throws SourceError; answers of any status but a redirect are returned.
   */
  async get(url: URL, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<SourceAnswer> {
    const { authorization: shown, ...others } = headers
    const credentials = shown ? { authorization: shown } : authorization(url)
    let target = url
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const isHome = target.origin === url.origin
      const answer = await this.#send(target, { ...others, ...(isHome && credentials) }, signal)
      const { location } = answer.headers
      if (![301, 302, 303, 307, 308].includes(answer.status) || typeof location !== 'string') return answer
      await answer.body.dump()
      target = this.#resolve(location, target)
    }
    throw new SourceError(`${withoutCredentials(url)} redirects more than ${MOST_REDIRECTS} times`)
  }

  async close() {
    await Promise.all([...this.#agents.values()].map(agent => agent.destroy()))
  }

  #resolve(location: string, base: URL): URL {
    const target = URL.canParse(location, base.href) ? new URL(location, base.href) : undefined
    if (target && /^https?:$/.test(target.protocol)) return target
    throw new SourceError(`${withoutCredentials(base)} redirects to something that is not http or https`)
  }

  async #send(url: URL, headers: Record<string, string>, signal?: AbortSignal): Promise<SourceAnswer> {
    try {
      if (!this.#mayBePrivate(url)) refusePrivateLiteral(url)
      const answer = await request(`${url.origin}${url.pathname}${url.search}`, {
        method: 'GET',
        headers: { 'user-agent': this.#options.userAgent, ...headers },
        dispatcher: this.#agentFor(url),
        signal: signal ?? null,
      })
      const body = answer.body as SourceAnswer['body']
      return {
        origin: url.origin,
        status: answer.statusCode,
        headers: answer.headers,
        body,
        bytes: this.#paced(body, url),
      }
    } catch (error) {
      signal?.throwIfAborted()
      throw requestError(error, url)
    }
  }

  #paced(body: Readable, url: URL): AsyncIterable<Buffer> {
    const { minimumRate = 0, stallTimeout } = this.#options
    const reason = `${url.host} sends less than ${minimumRate} bytes a second`
    return paced(body, { rate: minimumRate, window: stallTimeout }, () => new SourceError(reason))
  }

  #mayBePrivate({ origin }: URL): boolean {
    return this.#options.allowPrivate || this.#options.trusted?.has(origin) === true
  }

  #agentFor(url: URL): Dispatcher {
    const { sources, stallTimeout } = this.#options
    const settings = sources.find(source => isBelow(url, new URL(source.url)))
    const mayBePrivate = this.#mayBePrivate(url)
    const key = `${settings?.url ?? ''} ${mayBePrivate}`
    let agent = this.#agents.get(key)
    if (!agent) {
      agent = new Agent({
        headersTimeout: stallTimeout,
        bodyTimeout: stallTimeout,
        connect: {
          timeout: CONNECT_TIMEOUT,
          ...(settings?.ca && { ca: readFileSync(settings.ca) }),
          ...(settings?.insecure && { rejectUnauthorized: false }),
          ...(!mayBePrivate && { lookup: publicLookup }),
        },
      })
      this.#agents.set(key, agent)
    }
    return agent
  }
}

function isBelow({ origin, pathname }: URL, place: URL): boolean {
  const folder = place.pathname.replace(/\/+$/, '')
  return origin === place.origin && (pathname === folder || pathname.startsWith(`${folder}/`))
}

/** Parameters of the Image API; what others are for nobody knows: a signed URL has its key in one. */
const SHOWN_PARAMETERS = new Set(['channel', 'index', 'account', 'state', 'limit', 'marker'])

/** For records, logs and messages. */
export function withoutCredentials(url: URL): string {
  const shown = new URL(url.href)
  shown.username = ''
  shown.password = ''
  for (const name of new Set(shown.searchParams.keys())) {
    if (!SHOWN_PARAMETERS.has(name)) shown.searchParams.set(name, '***')
  }
  return shown.href
}

function authorization({ username, password }: URL): Record<string, string> {
  if (!username && !password) return {}
  const credentials = `${decoded(username)}:${decoded(password)}`
  return { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }
}

/** A percent sign that encodes nothing is itself. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** No manifest and no error is longer. */
const LONGEST_TEXT = 4 * 1024 * 1024

/** A body as text. Throws SourceError if it breaks off or has no end. */
export async function readText(
  body: AsyncIterable<Buffer>,
  url: URL,
  signal?: AbortSignal,
  longest = LONGEST_TEXT,
): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of body) {
      size += chunk.length
      if (size > longest) throw new SourceError(`${withoutCredentials(url)} answers with too much`)
      chunks.push(chunk)
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw requestError(error, url)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Certificates do not get better by waiting, and a private address stays one; most else may pass. */
export function requestError(error: unknown, url: URL): SourceError {
  if (error instanceof SourceError) return error
  const { code, message, cause } = error as NodeJS.ErrnoException & { cause?: Error }
  const root =
    error instanceof PrivateAddressError ? error : cause instanceof PrivateAddressError ? cause : undefined
  const isCertificate = /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ENOENT/.test(code ?? '')
  const reason = root?.message ?? (message || code || String(error))
  const isTemporary = !root && !isCertificate
  return new SourceError(`${withoutCredentials(url)}: ${reason}`, { isTemporary }, error)
}
