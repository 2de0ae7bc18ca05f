import { once } from 'node:events'
import { PassThrough, type Readable } from 'node:stream'
import { type HttpClient, readText, requestError, SourceError, withoutCredentials } from './http-client.ts'
import { statusError } from './imgapi/error-body.ts'
import { type RetryPolicy, withRetries } from './retry.ts'

/** Downloads that resume after interruptions, as long as they make progress. */

/** The part of HttpClient that downloads need. */
export type Getter = Pick<HttpClient, 'get'>

export interface DownloadOptions {
  /** Number of the first byte to fetch. */
  offset: number
  expectedSize?: number | undefined
  /** Whether the caller verifies a digest, which detects a mixture of two versions. */
  isVerified: boolean
  /** ETag or date of the version from which the bytes before `offset` were fetched, if known. */
  validator?: string | undefined
  signal: AbortSignal
  retry: RetryPolicy
  /** Resolves when so many more bytes may be received. */
  throttle?: ((bytes: number, signal: AbortSignal) => Promise<void>) | undefined
  /** Called with each answer, before its bytes are read; these wait until the promise resolves. */
  onAnswer?(info: SourceFileInfo): Promise<void>
  /** Called with the bytes received so far, including those before `offset`, and the bytes of this piece. */
  onProgress?(bytes: number, arrived: number): void
  /** Called with each failure that is retried. */
  onRetry?: ((error: Error) => void) | undefined
}

/** Properties of a file, from the headers of the source's answer. */
export interface SourceFileInfo {
  /** Size of the whole file in bytes, if the source says it. */
  size?: number | undefined
  /** Strong ETag or date of this version of the file. */
  validator?: string | undefined
}

/**
 * Returns the bytes at a URL from `offset` on as one stream, and resumes after interruptions. The stream fails with a
 * SourceError when no retry is left.
 */
export function download(client: Getter, url: URL, options: DownloadOptions): Readable {
  const sink = new PassThrough({ highWaterMark: 1024 * 1024 })
  // Closing the stream ends the transfer.
  const left = new AbortController()
  sink.once('close', () => left.abort())
  // The stream may fail before it has a reader, which finds the error later. Without a listener the process would
  // end.
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
  return withRetries(attempt, { retry, signal, onRetry, progress: () => offset })

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
      const message = `${label} broke off after ${offset} bytes and sent no validator with which to resume`
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
      // An error meanwhile is found when the body is read.
      body.on('error', () => {})
      await options.onAnswer({ size: wholeSize(status, headers), validator })
    }
    // A source without support for ranges sends the whole file: skip the bytes before `offset`.
    let skip = offset - (status === 206 ? firstByte(headers, offset) : 0)
    if (skip < 0) {
      body.destroy()
      const message = `${label} answers with other bytes than requested`
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

/** Returns the strong ETag or the date, which identify a version of a file byte for byte. */
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
