import type { Readable } from 'node:stream'
import type { Image, StoredFile } from './image.ts'
import type { ListQuery, ListSlice } from './listing.ts'

/** The interfaces between the domain and storage. Each storage driver must pass the shared test suite. */

/** An image and the revision it was read at. */
export interface Versioned {
  readonly image: Image
  readonly revision: number
  /** Why the image cannot be served although its manifest is valid: a file is missing or truncated. */
  readonly damage?: string | undefined
}

/**
 * Stores manifests. Writes are durable when they resolve. A write that rejects has changed nothing, except that a
 * StorageIsDown may say that the change may have happened; then `find` and `list` show the stored state.
 */
export interface Manifests {
  /**
   * Returns an image, after any insert or removal of it that is under way. Throws StorageIsDown if its manifest exists
   * but cannot be read.
   */
  find(uuid: string): Promise<Versioned | undefined>
  /** Returns the images that match a query, in its order. */
  list(query: ListQuery): Promise<readonly ListSlice[]>
  /** Returns the other images with this origin, in no particular order. */
  listChildren(uuid: string): Promise<readonly Image[]>
  /**
   * Adds an image with its staged files, in one commit. With `replaces`, replaces that unactivated image and takes over
   * its files; returns false if that image has changed since.
   * Throws ImageUuidAlreadyExists, OriginDoesNotExist, ValidationFailed for an image that would be its own ancestor,
   * and ImageHasDependentImages for the replaced image. These checks are atomic with the write: no other write,
   * finished or under way, may invalidate them.
   */
  insert(image: Image, replaces?: Versioned): Promise<boolean>
  /**
   * Writes the next state of an image; returns false if it has changed since that revision. For a new origin, throws
   * OriginDoesNotExist, or ValidationFailed if the image would be its own ancestor. The check is atomic with the write:
   * of two concurrent changes that make each image the other's origin, at most one succeeds.
   */
  replace(next: Image, revision: number): Promise<boolean>
  /**
   * Removes an image with all its files; returns false if it has changed since that revision.
   * Throws ImageHasDependentImages, checked atomically with the write.
   */
  remove(uuid: string, revision: number): Promise<boolean>
}

/** How a body is received. */
export interface ReceiveOptions {
  /** The size that the sender announced, in bytes. */
  expectedSize?: number | undefined
  /** The largest accepted size in bytes, and the error message for a larger one. */
  limit?: { size: number; message: string } | undefined
  /** Called once with the first bytes (at least eight, unless the body is shorter); throws to refuse the body. */
  inspect?: (head: Buffer) => void
  /** Computes the md5 during the transfer, which is slower; otherwise it is computed afterwards. */
  md5?: boolean
  /** Milliseconds without a byte after which the transfer fails; absent means no limit. */
  stallTimeout?: number
}

/** Why a body was not received. Sizes are in bytes. */
export type ReceiveProblem =
  | { reason: 'closed'; size: number }
  | { reason: 'stalled'; size: number; seconds: number }
  | { reason: 'too-large'; message: string }
  | { reason: 'wrong-size'; size: number; expectedSize: number }

/**
 * A body ended early or stalled, is larger than the limit, or does not have the size that was announced. Storage knows
 * nothing of the sender, so the caller words the error for its own side: as an upload or as a download.
 */
export class ReceiveError extends Error {
  override readonly name = 'ReceiveError'
  readonly problem: ReceiveProblem

  constructor(problem: ReceiveProblem) {
    super(`the body was not received: ${problem.reason}`)
    this.problem = problem
  }
}

/** A received file: durable and hashed, and not yet part of an image. */
export interface ReceivedFile {
  readonly size: number
  readonly sha1: string
  readonly md5?: string | undefined
  /** Moves the file to an image's files, under a name that no manifest uses yet. Throws ResourceNotFound. */
  attach(uuid: string, kind: FileKind, extension: string): Promise<StoredFile>
  /** Prepares the file for the `insert` of a new image with this UUID. A restart before the insert discards it. */
  stage(uuid: string, kind: FileKind, extension: string): Promise<StoredFile>
  /** Deletes the file, unless a manifest names it, since a failed change may have happened. */
  discard(): Promise<void>
}

export type FileKind = 'image' | 'image1' | 'icon'

/** A stored file, open for reading. Must be closed. */
export interface OpenFile {
  readonly size: number
  /**
   * Reads the bytes from `start` to `end`, inclusive. The memory of a chunk is reused for the chunk after the next one,
   * so the caller may use at most two at a time; the last two are valid until `close`.
   */
  chunks(start: number, end: number): AsyncIterable<Buffer>
  close(): Promise<void>
}

/** Stores the files of images. */
export interface Files {
  /** Receives a body. Throws ReceiveError. */
  receive(source: Readable, options: ReceiveOptions): Promise<ReceivedFile>
  /**
   * Receives a body that can be requested from any offset. If it ends early or the server stops, the received bytes are
   * kept under `name`, and the next call with that name resumes from there. Throws ReceiveError.
   */
  resume(name: string, open: (offset: number) => Readable, options: ReceiveOptions): Promise<ReceivedFile>
  /** Discards the bytes kept under a name. */
  forget(name: string): Promise<void>
  /** Duplicates a file for another image. */
  duplicate(uuid: string, file: StoredFile): Promise<ReceivedFile>
  /** Opens a file for reading. Throws StorageIsDown if it is missing or does not have the size in the manifest. */
  open(uuid: string, file: StoredFile): Promise<OpenFile>
  /** Returns the file's md5 in lower-case hex; undefined if computing it would take too long. */
  md5(uuid: string, file: StoredFile): Promise<string | undefined>
  /** Removes a file, unless a manifest names it. */
  remove(uuid: string, file: StoredFile): Promise<void>
}

/** Releases a lock; further calls do nothing. */
export type Release = () => void

/** Exclusive locks by name. */
export interface Locks {
  /** Acquires a lock; returns undefined if it is held. */
  tryAcquire(name: string): Promise<Release | undefined>
  /** Waits for a lock and acquires it, in the order of the calls. Rejects with the signal's reason. */
  acquire(name: string, signal: AbortSignal): Promise<Release>
}
