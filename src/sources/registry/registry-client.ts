import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { type HttpClient, readText, type SourceAnswer, SourceError } from '../http-client.ts'
import { download } from '../resumable.ts'
import { type RetryPolicy, withRetries } from '../retry.ts'
import { parseChallenge } from './challenge.ts'
import { DIGEST } from './image-name.ts'
import {
  ACCEPTED,
  type Descriptor,
  type ImageConfig,
  type Platform,
  readConfig,
  readManifest,
} from './manifest.ts'

export interface RegistryOptions {
  client: HttpClient
  /** Scheme and host, and the path below which `/v2/` is. */
  url: URL
  /** Sent only if an anonymous request is refused. */
  credentials?: { user: string; password: string } | undefined
  /** For the bytes of blobs. */
  retry: RetryPolicy
  /** For manifests and configs; default: the same. */
  lookupRetry?: RetryPolicy | undefined
}

/** An image as a registry describes it. */
export interface RegistryImage {
  /** Digest of the document that the name refers to: of the index, if the image has several platforms. */
  digest: string
  manifestDigest: string
  /** The manifest as the registry sent it. */
  manifest: string
  configDigest: string
  config: ImageConfig
  /** Bottom first. */
  layers: readonly Descriptor[]
  /** Whether credentials were needed to read it. */
  isPrivate: boolean
}

/** Seconds for which a token is valid if the registry does not say. */
const TOKEN_LIFE = 60

/** Reads one registry with the distribution API (version 2), for one user. */
export class RegistryClient {
  readonly #options: RegistryOptions
  /** By repository. */
  readonly #authorizations = new Map<string, { header: string; isOurs: boolean; until: number }>()

  constructor(options: RegistryOptions) {
    this.#options = options
  }

  /**
   * Fetches manifest and config. `reference`: a tag or a digest. Throws SourceError, or an error that describes
   * the flaw.
   */
  async resolve(
    repository: string,
    reference: string,
    { platform, signal }: { platform: Platform; signal: AbortSignal },
  ): Promise<RegistryImage> {
    const named = await this.#manifest(repository, reference, signal)
    const first = readManifest(named.text, named.contentType, platform)
    const own = first.chosen ? await this.#manifest(repository, first.chosen.digest, signal) : named
    const { manifest } = first.chosen ? readManifest(own.text, own.contentType, platform) : first
    if (!manifest) throw new Error('the index of the image leads to another index')
    const config = await this.#text(repository, manifest.config, signal)
    return {
      digest: named.digest,
      manifestDigest: own.digest,
      manifest: own.text,
      configDigest: manifest.config.digest,
      config: readConfig(config),
      layers: manifest.layers,
      isPrivate: this.#authorizations.get(repository)?.isOurs ?? false,
    }
  }

  /**
   * Returns the bytes of a blob from `offset` on, and resumes after failures. The caller must verify the digest: see
   * BlobCache. The stream fails with a SourceError when no retry is left.
   */
  blob(
    repository: string,
    { digest, size }: Descriptor,
    offset: number,
    signal: AbortSignal,
    onRetry?: (error: Error) => void,
  ): Readable {
    const getter = {
      get: (url: URL, headers: Record<string, string> = {}, within?: AbortSignal) =>
        this.#get(repository, url, headers, within),
    }
    const { retry } = this.#options
    const url = this.#url(repository, `blobs/${digest}`)
    return download(getter, url, { offset, expectedSize: size, isVerified: true, signal, retry, onRetry })
  }

  async #manifest(repository: string, reference: string, signal: AbortSignal) {
    const url = this.#url(repository, `manifests/${reference}`)
    const { text, headers } = await this.#textOf(repository, url, { accept: ACCEPTED }, signal)
    const digest = sha256(text)
    const promised = DIGEST.test(reference) ? reference : headers['docker-content-digest']
    if (typeof promised === 'string' && DIGEST.test(promised) && promised !== digest) {
      throw new SourceError(`the registry sent a manifest of digest ${digest}, not ${promised}`)
    }
    const type = headers['content-type']
    return { text, digest, contentType: typeof type === 'string' ? type : undefined }
  }

  /** Fetches a small blob and verifies its digest. */
  async #text(repository: string, { digest }: Descriptor, signal: AbortSignal): Promise<string> {
    const url = this.#url(repository, `blobs/${digest}`)
    const { text } = await this.#textOf(repository, url, {}, signal)
    if (sha256(text) === digest) return text
    throw new SourceError(`the registry sent other bytes than those of digest ${digest}`)
  }

  #textOf(repository: string, url: URL, headers: Record<string, string>, signal: AbortSignal) {
    const { retry, lookupRetry = retry } = this.#options
    const ask = async () => {
      const answer = await this.#get(repository, url, headers, signal)
      const text = await readText(answer.bytes, url, signal)
      if (answer.status !== 200) throw refused(answer.status, text, url)
      return { text, headers: answer.headers }
    }
    return withRetries(ask, { retry: lookupRetry, signal })
  }

  #url(repository: string, path: string): URL {
    const { origin, pathname } = this.#options.url
    return new URL(`${origin}${pathname.replace(/\/+$/, '')}/v2/${repository}/${path}`)
  }

  /** Sends a request with the last authorization. Answers a challenge with a new one, first anonymously. */
  async #get(
    repository: string,
    url: URL,
    headers: Record<string, string>,
    signal: AbortSignal | undefined,
  ): Promise<SourceAnswer> {
    const { client } = this.#options
    const known = this.#authorizations.get(repository)
    if (known && known.until < Date.now()) this.#authorizations.delete(repository)
    const ask = () => {
      const authorization = this.#authorizations.get(repository)?.header
      return client.get(url, { ...headers, ...(authorization && { authorization }) }, signal)
    }
    const first = await ask()
    // A challenge of another server, after a redirect, is not answered.
    if (first.status !== 401 || first.origin !== url.origin) return first
    await first.body.dump()
    // Try anonymously first: a repository that can be read so is not private.
    for (const withCredentials of [false, true]) {
      if (!(await this.#authorize(repository, first, withCredentials, signal))) continue
      const answer = await ask()
      if (answer.status !== 401 && answer.status !== 403) return answer
      await answer.body.dump()
      this.#authorizations.delete(repository)
    }
    const { host } = this.#options.url
    const { credentials } = this.#options
    throw new SourceError(
      credentials
        ? `authentication failed: ${host} does not allow ${credentials.user} to read ${repository}`
        : `authentication required: ${host} does not allow anonymous access to ${repository}`,
      { status: 401 },
    )
  }

  /** Obtains the authorization that a challenge requests. Returns false if that is not possible. */
  async #authorize(
    repository: string,
    { headers }: SourceAnswer,
    withCredentials: boolean,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const { credentials, url } = this.#options
    if (withCredentials && !credentials) return false
    const challenge = parseChallenge(headers['www-authenticate'], url)
    const basic = credentials && basicAuthorization(credentials)
    if (challenge.scheme === 'basic') {
      if (!withCredentials) return false
      this.#authorizations.set(repository, { header: basic!, isOurs: true, until: Number.POSITIVE_INFINITY })
      return true
    }
    const token = await this.#token(challenge.realm, withCredentials ? basic : undefined, signal)
    if (!token) return false
    const until = Date.now() + token.seconds * 1000
    this.#authorizations.set(repository, { header: `Bearer ${token.text}`, isOurs: withCredentials, until })
    return true
  }

  async #token(realm: URL, authorization: string | undefined, signal: AbortSignal | undefined) {
    const { client } = this.#options
    const answer = await client.get(realm, authorization ? { authorization } : {}, signal)
    const text = await readText(answer.bytes, realm, signal)
    if (answer.status === 401 || answer.status === 403) return undefined
    if (answer.status !== 200) throw refused(answer.status, text, realm)
    const { token, access_token: other, expires_in: seconds } = objectIn(text)
    const found = token ?? other
    if (typeof found !== 'string' || !/^[\x21-\x7e]+$/.test(found)) {
      throw new SourceError(`${realm.host} answers without a token`)
    }
    // Renew a token before it expires, so that it is still valid when it arrives.
    const life = typeof seconds === 'number' && seconds > 0 ? seconds : TOKEN_LIFE
    return { text: found, seconds: life * 0.9 }
  }
}

const sha256 = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`

const basicAuthorization = ({ user, password }: { user: string; password: string }) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

function objectIn(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** Returns an error with the registry's message: `{"errors": [{"code", "message"}]}`. */
function refused(status: number, text: string, url: URL): SourceError {
  const { errors } = objectIn(text)
  const message = Array.isArray(errors) ? errors[0]?.message : undefined
  const detail = typeof message === 'string' ? `: ${message.slice(0, 300)}` : ''
  const isTemporary = status >= 500 || status === 408 || status === 429
  const what = status === 404 ? 'there is no such image' : `HTTP ${status}`
  return new SourceError(`${what} at ${url.host}${detail}`, { isTemporary, status })
}
