import { constants } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { RemoteFile } from '../images/fetched-file.ts'
import { download, type Getter } from '../sources/resumable.ts'
import type { RetryPolicy } from '../sources/retry.ts'
import { fetchPartial } from '../sources/verified-fetch.ts'
import { hashFile, type Progress } from './hash-file.ts'
import { renameDurably } from './rename-durably.ts'

/** Fetches a file of an image to a path, which appears only when the file is complete and verified. */

export interface FetchOptions {
  url: URL
  path: string
  expected: Pick<RemoteFile, 'sha1' | 'size'>
  retry: RetryPolicy
  signal: AbortSignal
  /** Reports how many bytes are stored, including those of an earlier attempt. */
  onProgress?: Progress | undefined
  onRetry?: ((error: Error) => void) | undefined
}

/** The bytes received are not those of the manifest. */
export class WrongFileError extends Error {
  override readonly name = 'WrongFileError'
}

/** Returns the path of an unfinished download. */
export const partialPath = (path: string) => `${path}.partial`

/** Returns whether the file at the path has this size and SHA-1; false if it does not exist. */
export async function hasFile(path: string, { sha1, size }: FetchOptions['expected'], signal?: AbortSignal) {
  const found = await stat(path).catch(() => undefined)
  return found?.size === size && (await hashFile(path, { signal })) === sha1
}

/**
 * Fetches the file, resuming from `FILE.partial` of an earlier attempt. If the resumed file is not the expected one,
 * it is fetched again from the start, once. Throws WrongFileError and SourceError.
 */
export async function fetchFile(client: Getter, options: FetchOptions): Promise<void> {
  const { url, path, expected, retry, signal, onProgress, onRetry } = options
  const { size, sha1 } = expected
  const partial = partialPath(path)
  const handle = await open(partial, constants.O_RDWR | constants.O_CREAT)
  await fetchPartial(partial, handle, {
    algorithm: 'sha1',
    expected: { size, digest: sha1 },
    open: offset =>
      download(client, url, {
        offset,
        expectedSize: size,
        isVerified: true,
        // Servers that support ranges use the file's SHA-1 as its ETag.
        validator: `"${sha1}"`,
        signal,
        retry,
        onRetry,
      }),
    mismatch: found => {
      const what = found.size === size ? `SHA-1 ${found.digest}` : `${found.size} bytes`
      const stated = found.size === size ? sha1 : size
      return new WrongFileError(`the server sent a file of ${what}; the manifest says ${stated}`)
    },
    onProgress,
    signal,
  })
  await renameDurably(partial, path)
}
