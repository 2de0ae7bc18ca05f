import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { download, type Getter } from '../sources/resumable.ts'
import type { RetryPolicy } from '../sources/retry.ts'
import { hashFile, type Progress } from './hash-file.ts'
import type { RemoteFile } from './types.ts'

/** Fetches a file of an image to a path, which appears only when the file is complete and verified. */

export interface FetchOptions {
  url: URL
  path: string
  expected: Pick<RemoteFile, 'sha1' | 'size'>
  retry: RetryPolicy
  signal: AbortSignal
  /** Reports how many bytes are stored, including those of an earlier attempt. */
  onProgress?: Progress | undefined
  onRetry?(error: Error): void
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
  const { path, expected } = options
  const partial = partialPath(path)
  const before = (await stat(partial).catch(() => undefined))?.size ?? 0
  const isResumed = before > 0 && before <= expected.size
  if (!isResumed) await rm(partial, { force: true })
  let found = await fetchRest(client, options, isResumed ? before : 0)
  if (isResumed && !isSame(found, expected)) {
    await rm(partial)
    found = await fetchRest(client, options, 0)
  }
  if (!isSame(found, expected)) {
    await rm(partial)
    const what = found.size === expected.size ? `SHA-1 ${found.sha1}` : `${found.size} bytes`
    const stated = found.size === expected.size ? expected.sha1 : expected.size
    throw new WrongFileError(`the server sent a file of ${what}; the manifest says ${stated}`)
  }
  await renameDurably(partial, path)
}

type Found = Pick<RemoteFile, 'sha1' | 'size'>

const isSame = (found: Found, expected: Found) => found.size === expected.size && found.sha1 === expected.sha1

async function fetchRest(client: Getter, options: FetchOptions, offset: number): Promise<Found> {
  const { url, path, expected, retry, signal, onProgress, onRetry } = options
  const partial = partialPath(path)
  const hash = createHash('sha1')
  await hashPrefix(hash, partial, offset)
  onProgress?.(offset)
  const stream = download(client, url, {
    offset,
    expectedSize: expected.size,
    isVerified: true,
    // Servers that support ranges use the file's SHA-1 as its ETag.
    validator: `"${expected.sha1}"`,
    signal,
    retry,
    ...(onRetry && { onRetry }),
  })
  const file = await open(partial, 'a')
  let size = offset
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      await file.writeFile(chunk)
      hash.update(chunk)
      size += chunk.length
      onProgress?.(size)
      if (size > expected.size) break
    }
    await file.sync()
  } finally {
    await file.close()
  }
  return { size, sha1: hash.digest('hex') }
}

async function hashPrefix(hash: Hash, path: string, size: number) {
  if (size === 0) return
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk)
}

/** Renames a file and syncs its folder. Opens the folder first, so that a failure to open it changes nothing. */
export async function renameDurably(from: string, to: string) {
  const folder = await open(dirname(to), 'r')
  try {
    await rename(from, to)
    await folder.sync()
  } finally {
    await folder.close()
  }
}
