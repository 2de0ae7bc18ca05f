import { readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { Agent, type Dispatcher, request } from 'undici'
import { PrivateAddressError, publicLookup, refusePrivateLiteral } from './address-guard.ts'
import { collectText, LONGEST_TEXT } from './collect-text.ts'
import { paced } from './pace.ts'

/** Requests to other servers, with timeouts, verified TLS and the address checks of the config. */

export interface SourceSettings {
  /** The settings apply to this URL and the paths below it. */
  url: string
  /** PEM file with the certificate of the authority to trust. */
  ca?: string | undefined
  /** Trust any certificate. */
  insecure?: boolean | undefined
}

export interface HttpClientOptions {
  allowPrivate: boolean
  /** Origins from the config that may have private addresses; their redirects to other origins may not. */
  trusted?: ReadonlySet<string>
  /** Milliseconds without a byte after which a request fails. */
  stallTimeout: number
  /** Minimum rate in bytes per second, averaged over `stallTimeout`; 0: no minimum. */
  minimumRate?: number
  userAgent: string
  sources: readonly SourceSettings[]
}

/** A failed request to another server, or an unusable answer. */
export class SourceError extends Error {
  override readonly name = 'SourceError'
  /** Whether a retry may succeed. */
  readonly isTemporary: boolean
  readonly status: number | undefined
  /** The code in the other server's error, if it speaks the Image API. */
  readonly code: string | undefined
  /** Whether the partial file cannot be resumed, but a restart from the first byte may succeed. */
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
  /** Origin of the server that answered, after redirects. */
  origin: string
  status: number
  headers: Record<string, string | string[] | undefined>
  body: Readable & { dump(): Promise<unknown> }
  /** The bytes of the body. Throws SourceError if they arrive too slowly. */
  bytes: AsyncIterable<Buffer>
}

const MOST_REDIRECTS = 5
/** Milliseconds; enough for a reachable host even if the first two packets are lost. */
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

  /** Returns the scheme for a host: that of a source in the config, else https, or http on this machine. */
  schemeOf(host: string): 'http' | 'https' {
    const source = this.#options.sources.map(({ url }) => new URL(url)).find(url => url.host === host)
    if (source) return source.protocol === 'http:' ? 'http' : 'https'
    return /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(host) ? 'http' : 'https'
  }

  /**
   * Sends a GET request and follows redirects. Credentials, from the URL or the header `authorization`, are sent to the
   * URL's own origin only. Returns answers of any status except redirects. Throws SourceError.
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

/** Parameters of the Image API. All others are hidden, since they may be secret, as the key of a signed URL. */
const SHOWN_PARAMETERS = new Set(['channel', 'index', 'account', 'state', 'limit', 'marker'])

/** Returns the URL without user, password and unknown parameters, for records, logs and messages. */
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

/** Decodes percent-encoding; leaves text with a stray percent sign as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Reads a body as text. Throws SourceError if it breaks off or is longer than `longest` bytes. */
export async function readText(
  body: AsyncIterable<Buffer>,
  url: URL,
  signal?: AbortSignal,
  longest = LONGEST_TEXT,
): Promise<string> {
  const tooLong = () => new SourceError(`${withoutCredentials(url)} answers with more than ${longest} bytes`)
  try {
    return await collectText(body, longest, tooLong)
  } catch (error) {
    signal?.throwIfAborted()
    throw requestError(error, url)
  }
}

/**
 * Converts an error of a request to a SourceError. Errors other than certificates and private addresses are
 * temporary.
 */
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
