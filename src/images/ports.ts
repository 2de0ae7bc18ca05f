import type { Readable } from 'node:stream'
import type { Image, StoredFile } from './image.ts'
import type { ListQuery, ListSlice } from './listing.ts'

/** What the domain needs of the outside. Each storage driver implements these and passes one shared suite. */

/** An image and the revision it was read at. */
export interface Versioned {
  readonly image: Image
  readonly revision: number
  /** Why the image cannot be served although its manifest is fine: its file is missing or cut short. */
  readonly damage?: string | undefined
}

/**
 * The manifests. Writes are durable when they resolve. One that rejects has changed nothing, but for a StorageIsDown
 * that says that the change may have happened: then `find` and `list` show what is stored.
 */
export interface Manifests {
  /**
   * Waits for the end of an insert or a removal of that image that is under way.
   * Throws StorageIsDown for an image whose manifest is there but cannot be read.
   */
  find(uuid: string): Promise<Versioned | undefined>
  list(query: ListQuery): Promise<readonly ListSlice[]>
  /** The other images whose origin this is, in no order. */
  listChildren(uuid: string): Promise<readonly Image[]>
  /**
   * Adds an image with the files that have been staged for it, in one commit; with `replaces`, in place of that
   * unactivated one, whose files become its own; false if that one has changed since.
   * Throws ImageUuidAlreadyExists, OriginDoesNotExist, ValidationFailed for an image
   * that would be its own ancestor or, for the replaced one, ImageHasDependentImages. All of that is decided
   * together with the write: no other write, finished or under way, may make it untrue.
   */
  insert(image: Image, replaces?: Versioned): Promise<boolean>
  /**
   * Writes the next state of an image; false if it has changed since that revision. If it gets another origin,
   * throws OriginDoesNotExist, or ValidationFailed if it would be its own ancestor, decided together with the
   * write: of two images that each want to become the other's origin at most one does.
   */
  replace(next: Image, revision: number): Promise<boolean>
  /**
   * Removes the image with all its files; false if it has changed since.
   * Throws ImageHasDependentImages, decided together with the write.
   */
  remove(uuid: string, revision: number): Promise<boolean>
}

export interface ReceiveOptions {
  /** How many bytes the sender promised. */
  expectedSize?: number | undefined
  /** The most bytes to take, and what to say about one more. */
  limit?: { size: number; message: string } | undefined
  /** Called once with the first bytes (at least eight, if there are as many); throws to refuse the rest. */
  inspect?: (head: Buffer) => void
  /** Wanted with the file although it costs time; otherwise md5 follows when it is known. */
  md5?: boolean
  /** Milliseconds without a byte after which the sender is given up; absent is never. */
  stallTimeout?: number
}

/** Bytes that have arrived, are durable and hashed, and belong to no image yet. */
export interface ReceivedFile {
  readonly size: number
  readonly sha1: string
  readonly md5?: string | undefined
  /** Puts the bytes beside an image, under a name that no manifest points at. */
  attach(uuid: string, kind: FileKind, extension: string): Promise<StoredFile>
  /** Makes the bytes ready for the `insert` of a new image with this UUID. A restart before that drops them. */
  stage(uuid: string, kind: FileKind, extension: string): Promise<StoredFile>
  /** Drops them, attached, staged or not, unless a manifest names them: a change that failed may have happened. */
  discard(): Promise<void>
}

export type FileKind = 'image' | 'image1' | 'icon'

/** A stored file, open for reading. Must be closed. */
export interface OpenFile {
  readonly size: number
  /**
   * The bytes from `start` up to and including `end`. A chunk's memory is used again for the chunk after
   * the next one, so at most two may be in use at a time; the last two are there until `close`.
   */
  chunks(start: number, end: number): AsyncIterable<Buffer>
  close(): Promise<void>
}

/** The files. */
export interface Files {
  receive(source: Readable, options: ReceiveOptions): Promise<ReceivedFile>
  /**
   * Receives a body that can be asked for from any byte on. What has arrived is kept under `name` when it
   * breaks off or the server is stopped, and the next call with that name goes on from there.
   */
  resume(name: string, open: (offset: number) => Readable, options: ReceiveOptions): Promise<ReceivedFile>
  /** Drops what is kept under a name. */
  forget(name: string): Promise<void>
  /** The same bytes once more, for another image to keep. */
  duplicate(uuid: string, file: StoredFile): Promise<ReceivedFile>
  /** Throws StorageIsDown if the file is missing or not of the size that the manifest says. */
  open(uuid: string, file: StoredFile): Promise<OpenFile>
  /** The file's md5, lower-case hex, if it is known or soon will be. */
  md5(uuid: string, file: StoredFile): Promise<string | undefined>
  /** Removes a file that no manifest names any more. */
  remove(uuid: string, file: StoredFile): Promise<void>
}

/** Gives a lock back; calling it again does nothing. */
export type Release = () => void

/** Locks by name, each with one holder at a time. */
export interface Locks {
  /** Takes the lock, or undefined if it is held. */
  tryAcquire(name: string): Promise<Release | undefined>
  /** Waits for the lock; those who wait get it in the order in which they came. Rejects with the signal's reason. */
  acquire(name: string, signal: AbortSignal): Promise<Release>
}
