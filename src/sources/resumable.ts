import { once } from 'node:events'
import { PassThrough, type Readable } from 'node:stream'
import pRetry, { AbortError } from 'p-retry'
import { type HttpClient, requestError, SourceError, withoutCredentials } from './http-client.ts'

/** A download that goes on where it broke off, as often as it takes, as long as it gets anywhere. */

export interface DownloadOptions {
  /** The first byte wanted. */
  offset: number
  expectedSize?: number | undefined
  signal: AbortSignal
  headers?: Record<string, string>
  retry: RetryPolicy
  /** Told the number of bytes that have arrived, those before `offset` included. */
  onProgress?(bytes: number): void
  /** Told of each failure that is going to be retried. */
  onRetry?(error: Error): void
}

export interface RetryPolicy {
  /** Failures in a row without a byte between them. */
  retries: number
  /** Milliseconds before the first retry; doubled each time. */
  firstDelay: number
  longestDelay: number
}

/** In the words of the library that does it. */
export const toRetryOptions = ({ retries, firstDelay, longestDelay }: RetryPolicy, signal: AbortSignal) => ({
  retries,
  minTimeout: firstDelay,
  maxTimeout: longestDelay,
  signal,
})

/** Failures in all, however much arrived between them: somebody should look at such a source. */
const MOST_FAILURES = 200

/**
 * The bytes at a URL from `offset` on, as one stream, whatever happens below it. Ends with a SourceError when
 * it is hopeless.
 */
export function download(client: HttpClient, url: URL, options: DownloadOptions): Readable {
  const sink = new PassThrough({ highWaterMark: 1024 * 1024 })
  fill(client, url, sink, options).then(
    () => sink.end(),
    error => sink.destroy(error as Error),
  )
  return sink
}

async function fill(client: HttpClient, url: URL, sink: PassThrough, options: DownloadOptions) {
  const { signal, retry, onRetry } = options
  let offset = options.offset
  let etag: string | undefined
  if (offset === options.expectedSize) return
  for (let failures = 0; ; failures++) {
    const before = offset
    try {
      await pRetry(
        async () => {
          try {
            await attempt()
          } catch (error) {
            signal.throwIfAborted()
            const known = requestError(error, url)
            if (!known.isTemporary) throw new AbortError(known)
            // Bytes have come: the count of failures in a row begins anew, in the loop around this.
            if (offset > before) throw new AbortError(known)
            throw known
          }
        },
        {
          ...toRetryOptions(retry, signal),
          onFailedAttempt: ({ error }) => onRetry?.(error),
        },
      )
      return
    } catch (error) {
      const isWorthMore = error instanceof SourceError && error.isTemporary && offset > before
      if (!isWorthMore || failures === MOST_FAILURES) throw error
      onRetry?.(error)
    }
  }

  async function attempt() {
    const answer = await client.get(url, { ...options.headers, ...rangeHeaders(offset, etag) }, signal)
    const { status, headers, body } = answer
    if (status !== 200 && status !== 206) {
      const text = await body.text().catch(() => '')
      throw statusError(url, status, text)
    }
    if (typeof headers.etag === 'string') etag = headers.etag
    // A source that does not know ranges starts over: what we have is skipped.
    let skip = status === 206 ? 0 : offset
    for await (const chunk of body as AsyncIterable<Buffer>) {
      const wanted = skip > 0 ? chunk.subarray(Math.min(skip, chunk.length)) : chunk
      skip -= chunk.length - wanted.length
      if (wanted.length === 0) continue
      offset += wanted.length
      options.onProgress?.(offset)
      if (!sink.write(wanted)) await once(sink, 'drain', { signal })
    }
    const { expectedSize } = options
    if (expectedSize !== undefined && offset < expectedSize) {
      const message = `${withoutCredentials(url)} sent ${offset} of ${expectedSize} bytes`
      throw new SourceError(message, { isTemporary: true })
    }
  }
}

const rangeHeaders = (offset: number, etag: string | undefined): Record<string, string> =>
  offset === 0
    ? {}
    : { range: `bytes=${offset}-`, ...(etag && !etag.startsWith('W/') && { 'if-range': etag }) }

/** What another server said instead of the file. */
export function statusError(url: URL, status: number, body: string): SourceError {
  const isTemporary = status >= 500 || status === 408 || status === 429
  const message = remoteMessage(body)
  return new SourceError(`HTTP ${status} from ${withoutCredentials(url)}${message ? `: ${message}` : ''}`, {
    isTemporary,
    status,
  })
}

/** The message in an error body of the Image API. */
export function remoteMessage(body: string): string | undefined {
  try {
    const { message } = JSON.parse(body)
    return typeof message === 'string' ? message : undefined
  } catch {
    return undefined
  }
}
