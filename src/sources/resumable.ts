import { once } from 'node:events'
import { PassThrough, type Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import pRetry from 'p-retry'
import { type HttpClient, readText, requestError, SourceError, withoutCredentials } from './http-client.ts'

/** A download that goes on where it broke off, as often as it takes, as long as it gets anywhere. */

/** All that it needs of a client. */
export type Getter = Pick<HttpClient, 'get'>

export interface DownloadOptions {
  /** The first byte wanted. */
  offset: number
  expectedSize?: number | undefined
  /** Whether somebody checks a digest in the end: then a mixture of two versions is found out. */
  isVerified: boolean
  /** ETag, or date, of what the bytes before `offset` were taken from, if it is known. */
  validator?: string | undefined
  signal: AbortSignal
  retry: RetryPolicy
  /** Resolves when so many more bytes may be taken. */
  throttle?: ((bytes: number, signal: AbortSignal) => Promise<void>) | undefined
  /** SourceFileInfo what the source says of the whole file, before each part of it, which waits for it. */
  onAnswer?(told: SourceFileInfo): Promise<void>
  /** SourceFileInfo the number of bytes that are there, those before `offset` included, and how many of them came now. */
  onProgress?(bytes: number, arrived: number): void
  /** SourceFileInfo of each failure that is going to be retried. */
  onRetry?: ((error: Error) => void) | undefined
}

/** What a source says of a file that it sends. */
export interface SourceFileInfo {
  /** Bytes of all of it, if the source knows. */
  size?: number | undefined
  /** Tells this version of the file from others. */
  validator?: string | undefined
}

export interface RetryPolicy {
  /** Failures in a row without a byte between them. */
  retries: number
  /** Milliseconds before the first retry; doubled each time. */
  firstDelay: number
  longestDelay: number
  /** Milliseconds after the first attempt began, from which on there is no other one. */
  longestTime?: number | undefined
}

/** For what a client waits for: it hears within seconds that a server cannot be reached. */
export const QUICK_RETRY: RetryPolicy = { retries: 2, firstDelay: 500, longestDelay: 1000, longestTime: 4000 }

interface RetryOptions extends Pick<DownloadOptions, 'retry' | 'signal' | 'onRetry'> {
  isWorthIt?(): boolean
}

/** Tries again, with growing delays, what may work a little later. */
export function withRetries<T>(
  run: () => Promise<T>,
  { retry, signal, onRetry, isWorthIt = () => true }: RetryOptions,
): Promise<T> {
  return pRetry(run, {
    retries: retry.retries,
    minTimeout: retry.firstDelay,
    maxTimeout: retry.longestDelay,
    ...(retry.longestTime !== undefined && { maxRetryTime: retry.longestTime }),
    signal,
    shouldRetry: ({ error }) => {
      const isRetried = !signal.aborted && isTemporary(error) && isWorthIt()
      if (isRetried) onRetry?.(error)
      return isRetried
    },
  })
}

/** Of an error, or of the one that it was made from. */
const isTemporary = (error: unknown) => {
  const root = error instanceof SourceError ? error : (error as Error).cause
  return root instanceof SourceError && root.isTemporary
}

/** Failures in all, however much arrived between them: somebody should look at such a source. */
const MOST_FAILURES = 200

/**
 * The bytes at a URL from `offset` on, as one stream, whatever happens below it. Ends with a SourceError when
 * it is hopeless.
 */
export function download(client: Getter, url: URL, options: DownloadOptions): Readable {
  const sink = new PassThrough({ highWaterMark: 1024 * 1024 })
  // A reader that has had enough ends the transfer.
  const left = new AbortController()
  sink.once('close', () => left.abort())
  // It may fail before its reader is there, which then finds the error; without this it would end the process.
  sink.on('error', () => {})
  const signal = AbortSignal.any([options.signal, left.signal])
  fill(client, url, sink, { ...options, signal }).then(
    () => sink.end(),
    error => sink.destroy(error as Error),
  )
  return sink
}

async function fill(client: Getter, url: URL, sink: PassThrough, options: DownloadOptions) {
  const { signal, retry, onRetry, expectedSize, isVerified } = options
  const label = withoutCredentials(url)
  let offset = options.offset
  let { validator } = options
  if (offset === expectedSize) return
  for (let failures = 0; ; failures++) {
    const before = offset
    try {
      // When bytes have come, the count of failures in a row begins anew.
      return await withRetries(attempt, { retry, signal, onRetry, isWorthIt: () => offset === before })
    } catch (error) {
      const isWorthMore = !signal.aborted && isTemporary(error) && offset > before
      if (!isWorthMore || failures === MOST_FAILURES) throw error
      onRetry?.(error as Error)
      await sleep(retry.firstDelay, undefined, { signal })
    }
  }

  async function attempt() {
    try {
      await receive()
    } catch (error) {
      signal.throwIfAborted()
      throw requestError(error, url)
    }
  }

  async function receive() {
    if (offset > 0 && !isVerified && !validator) {
      const message = `${label} broke off after ${offset} bytes and does not tell how to go on`
      throw new SourceError(message, { isStale: true })
    }
    const answer = await client.get(url, rangeHeaders(offset, validator), signal)
    const { status, headers, body, bytes } = answer
    if (status === 416) {
      await body.dump()
      throw new SourceError(`${label} has ${offset} of ${expectedSize ?? 'more'} bytes`, { isStale: true })
    }
    if (status !== 200 && status !== 206) throw statusError(url, status, await readText(bytes, url, signal))
    const version = validatorOf(headers)
    if (!isVerified && offset > 0 && version !== validator) {
      body.destroy()
      throw new SourceError(`${label} changed while it was being fetched`, { isStale: true })
    }
    validator = version
    if (options.onAnswer) {
      // What goes wrong meanwhile is found when the body is read.
      body.on('error', () => {})
      await options.onAnswer({ size: wholeSize(status, headers), validator })
    }
    // A source that does not know ranges starts over: what we have is skipped.
    let skip = offset - (status === 206 ? firstByte(headers, offset) : 0)
    if (skip < 0) {
      body.destroy()
      const message = `${label} answers with other bytes than those that were asked for`
      throw new SourceError(message, { isStale: true })
    }
    for await (const chunk of bytes) {
      const wanted = skip > 0 ? chunk.subarray(Math.min(skip, chunk.length)) : chunk
      skip -= chunk.length - wanted.length
      if (wanted.length === 0) continue
      offset += wanted.length
      options.onProgress?.(offset, wanted.length)
      if (!sink.write(wanted)) await once(sink, 'drain', { signal })
      await options.throttle?.(wanted.length, signal)
    }
    if (expectedSize !== undefined && offset < expectedSize) {
      throw new SourceError(`${label} sent ${offset} of ${expectedSize} bytes`, { isTemporary: true })
    }
  }
}

type AnswerHeaders = Record<string, string | string[] | undefined>

/** What tells one version of a file from another, byte for byte. */
function validatorOf({ etag, 'last-modified': modified }: AnswerHeaders): string | undefined {
  if (typeof etag === 'string' && !etag.startsWith('W/')) return etag
  return typeof modified === 'string' ? modified : undefined
}

function wholeSize(status: number, headers: AnswerHeaders): number | undefined {
  const { 'content-range': range, 'content-length': length } = headers
  const size = status === 200 ? length : typeof range === 'string' ? range.split('/')[1] : undefined
  return typeof size === 'string' && /^\d{1,15}$/.test(size) ? Number(size) : undefined
}

function firstByte({ 'content-range': range }: AnswerHeaders, asked: number): number {
  const first = typeof range === 'string' ? /^bytes (\d+)-/.exec(range) : null
  return first ? Number(first[1]) : asked
}

const rangeHeaders = (offset: number, validator: string | undefined): Record<string, string> =>
  offset === 0 ? {} : { range: `bytes=${offset}-`, ...(validator && { 'if-range': validator }) }

/** What another server said instead of the file. */
export function statusError(url: URL, status: number, body: string): SourceError {
  const isTemporary = status >= 500 || status === 408 || status === 429
  const { code, message } = remoteError(body)
  return new SourceError(`HTTP ${status} from ${withoutCredentials(url)}${message ? `: ${message}` : ''}`, {
    isTemporary,
    status,
    code,
  })
}

/** What an error body of the Image API says. */
export function remoteError(body: string): { code?: string; message?: string } {
  try {
    const { code, message } = JSON.parse(body)
    return { ...(typeof code === 'string' && { code }), ...(typeof message === 'string' && { message }) }
  } catch {
    return {}
  }
}
