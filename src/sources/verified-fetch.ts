import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, rm } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { writeFully } from '../util/write-fully.ts'

/** Fetches that resume and are verified: bytes of an earlier attempt are hashed and kept, and the rest is fetched. */

export interface AttemptResult<T> {
  fetched: T
  /** Bytes of an earlier attempt that this one resumed from. */
  kept: number
  /** Says what was expected and what was found; undefined if the whole is as expected. */
  problem: Error | undefined
}

interface Attempts<T> {
  /** Resumes from what an earlier attempt has left. */
  attempt(): Promise<AttemptResult<T>>
  /** Discards all bytes, so that the next attempt begins with the first one. */
  discard(fetched: T): Promise<void>
  onRetry?: ((problem: Error) => void) | undefined
}

/**
 * Fetches something and verifies it. What is wrong is discarded. If a part of it came from an earlier attempt, that part
 * may be damaged, for instance by a power failure: then starts over, once. Rejects with the problem of the last attempt.
 */
export async function startOverOnce<T>({ attempt, discard, onRetry }: Attempts<T>): Promise<T> {
  for (let attempts = 1; ; attempts++) {
    const { fetched, kept, problem } = await attempt()
    if (!problem) return fetched
    await discard(fetched)
    if (kept === 0 || attempts === 2) throw problem
    onRetry?.(problem)
  }
}

/** What identifies the bytes of a file. */
export interface Contents {
  /** Bytes. */
  size: number
  /** Lower-case hex. */
  digest: string
}

export interface VerifiedFetch {
  algorithm: 'sha1' | 'sha256'
  expected: Contents
  /** Opens the source at an offset. */
  open(offset: number): Readable
  /** Returns the error for other bytes than those expected. Of a source that sends too many, not all are counted. */
  mismatch(found: Contents): Error
  /** Called with the bytes that are there, including those of an earlier attempt. */
  onProgress?: ((bytes: number) => void) | undefined
  /** Aborts the hashing of the bytes that are there; `open` passes its own to the source. */
  signal?: AbortSignal | undefined
}

/** Where the fetched bytes are written. */
interface Target {
  handle: FileHandle
  /** Position of the first byte in the file. */
  start: number
}

/**
 * Fetches bytes into a part of a file. Resumes from what is there already, and never writes more than the expected size.
 * Does not sync. Bytes that do not match are cut off, with what follows them, which was written later and may be damaged
 * as well. Throws the error of `mismatch`, or that of the source.
 */
export async function fetchVerified(target: Target, fetch: VerifiedFetch): Promise<void> {
  const { handle, start } = target
  const { expected, mismatch } = fetch
  await startOverOnce({
    attempt: async () => {
      const length = (await handle.stat()).size - start
      const kept = Math.min(Math.max(length, 0), expected.size)
      const found = await fetchRest(target, kept, fetch)
      const isRight = found.size === expected.size && found.digest === expected.digest
      return { fetched: found, kept, problem: isRight ? undefined : mismatch(found) }
    },
    discard: () => handle.truncate(start),
  })
}

/**
 * Fetches a whole file into the open partial file at a path, syncs it and closes it. A longer partial file is that of
 * another file, and is not resumed. Removes the partial file if nothing of it can be resumed. Throws as fetchVerified.
 */
export async function fetchPartial(path: string, handle: FileHandle, fetch: VerifiedFetch): Promise<void> {
  try {
    if ((await handle.stat()).size > fetch.expected.size) await handle.truncate(0)
    await fetchVerified({ handle, start: 0 }, fetch)
    await handle.sync()
  } catch (error) {
    if ((await handle.stat()).size === 0) await rm(path, { force: true })
    throw error
  } finally {
    await handle.close()
  }
}

/** Fetches the bytes after the first `kept` ones. Returns what is there then; ends when the source sends too much. */
async function fetchRest(
  { handle, start }: Target,
  kept: number,
  { algorithm, expected, open, onProgress, signal }: VerifiedFetch,
): Promise<Contents> {
  const hash = createHash(algorithm)
  await hashPart(hash, handle, start, kept, signal)
  onProgress?.(kept)
  let size = kept
  for await (const chunk of open(kept) as AsyncIterable<Buffer>) {
    const position = start + size
    size += chunk.length
    if (size > expected.size) break
    await writeFully(handle, [chunk], position)
    hash.update(chunk)
    onProgress?.(size)
  }
  return { size, digest: hash.digest('hex') }
}

const PIECE = 1024 * 1024

/** Adds a part of a file to the hash. */
async function hashPart(hash: Hash, handle: FileHandle, start: number, length: number, signal?: AbortSignal) {
  const piece = Buffer.alloc(Math.min(PIECE, length))
  for (let at = 0; at < length; ) {
    signal?.throwIfAborted()
    const { bytesRead } = await handle.read(piece, 0, Math.min(piece.length, length - at), start + at)
    if (bytesRead === 0) return
    hash.update(piece.subarray(0, bytesRead))
    at += bytesRead
  }
}
