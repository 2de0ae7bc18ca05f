import type { Readable } from 'node:stream'
import { downloadFailed, isOutOfSpace, storageIsDown } from '../../images/errors.ts'
import { fileTooBig } from '../../images/files.ts'
import type { Images } from '../../images/images.ts'
import type { ReceivedFile, ReceiveOptions } from '../../images/ports.ts'
import { type HttpClient, SourceError } from '../../sources/http-client.ts'
import { type DownloadOptions, download, type SourceFileInfo } from '../../sources/resumable.ts'
import type { RetryPolicy } from '../../sources/retry.ts'
import { startOverOnce } from '../../sources/verified-fetch.ts'
import { downloadError, wrongSize } from './download-error.ts'

/** Fetches the bytes at a URL into the file store and verifies their size and digest. */

export interface Fetch {
  client: HttpClient
  url: URL
  size?: number | undefined
  sha1?: string | undefined
  /** Validator (ETag or date) of the partial file, for files without a digest. */
  validator?: string | undefined
  signal: AbortSignal
  retry: RetryPolicy
  throttle?: DownloadOptions['throttle']
  onAnswer?(info: SourceFileInfo): Promise<void>
  onProgress?(bytes: number, arrived: number): void
  onRetry?(error: Error): void
}

type Receive = (open: (offset: number) => Readable) => Promise<ReceivedFile>

/** Fetches and verifies a file. Throws Download; a file that does not verify is discarded. */
export const fetchFile = (fetch: Fetch, receive: Receive): Promise<ReceivedFile> =>
  startOverOnce({
    attempt: async () => {
      const { received, start } = await receiveOnce(fetch, receive)
      return { fetched: received, kept: start, problem: mismatch(received, fetch) }
    },
    discard: received => received.discard(),
    onRetry: error => fetch.onRetry?.(error),
  })

async function receiveOnce(fetch: Fetch, receive: Receive) {
  const { client, url, size, sha1, validator, signal, retry, throttle } = fetch
  const { onAnswer, onProgress, onRetry } = fetch
  const ended = new AbortController()
  let failure: unknown
  let start = 0
  /** Ends the download without a retry, because the error is not the source's. */
  const giveUp = (error: unknown) => {
    ended.abort(error)
    throw error
  }
  const open = (offset: number) => {
    start = offset
    const stream = download(client, url, {
      offset,
      expectedSize: size,
      isVerified: sha1 !== undefined,
      validator,
      signal: AbortSignal.any([signal, ended.signal]),
      retry,
      throttle,
      ...(onAnswer && { onAnswer: info => onAnswer(info).catch(giveUp) }),
      ...(onProgress && { onProgress }),
      ...(onRetry && { onRetry }),
    })
    stream.on('error', error => {
      failure = error
    })
    return stream
  }
  try {
    const received = await receive(open)
    return { received, start }
  } catch (error) {
    signal.throwIfAborted()
    ended.signal.throwIfAborted()
    // The store only knows that the body ended early; the download knows why.
    if (failure instanceof SourceError) throw downloadFailed(failure.message, failure)
    throw downloadError(error)
  } finally {
    ended.abort()
  }
}

/** Returns the error for a file that is not the expected one. */
function mismatch(received: ReceivedFile, { size, sha1 }: Fetch): Error | undefined {
  if (received.size === 0) return downloadFailed('image file size is 0 bytes, empty files are not allowed')
  if (size !== undefined && received.size !== size) {
    return downloadFailed(wrongSize(size, received.size))
  }
  if (sha1 !== undefined && sha1 !== received.sha1) {
    return downloadFailed(
      `"sha1" file field, ${sha1}, does not match the downloaded file sha1 hash, ${received.sha1}`,
    )
  }
  return undefined
}

/** Returns options that limit a download to the size in the manifest or, without one, to `maxImageSize`. */
export function fetchOptions(
  { policy: { maxImageSize } }: Images,
  size: number | undefined,
  inspect?: (head: Buffer) => void,
): ReceiveOptions {
  const limit =
    size !== undefined
      ? { size, message: `the source sends more than the ${size} bytes that its manifest says` }
      : maxImageSize !== undefined
        ? { size: maxImageSize, message: fileTooBig('size', maxImageSize) }
        : undefined
  return { expectedSize: size, ...(limit && { limit }), ...(inspect && { inspect }) }
}

/**
 * Runs an import. After a failure the partial files under these names stay, so that the next attempt can resume. On a
 * full disk they are removed to free the space; then throws ServiceUnavailableError.
 */
export async function dropWhenFull<T>(images: Images, names: string[], run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (!isOutOfSpace(error)) throw error
    for (const name of names) await images.files.forget(name)
    const { message } = error as Error
    throw storageIsDown(`${message}; what had arrived of the image was removed to make room`, error)
  }
}
