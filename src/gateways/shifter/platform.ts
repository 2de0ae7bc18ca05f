import type { Session } from './session.ts'

/**
 * A system's folder of images. A file gets there under a name that ends in `.partial`, and its own name when it
 * is whole and on the disk.
 */
export interface Platform {
  /** Whether all of these files are there. */
  has(names: readonly string[], signal: AbortSignal): Promise<boolean>
  /** Bytes that may still be written. */
  freeSpace(signal: AbortSignal): Promise<number>
  /** Copies a file of this host there; it may be moved. */
  deliver(path: string, name: string, signal: AbortSignal): Promise<void>
  /** Removes those of these files that are there. */
  remove(names: readonly string[], signal: AbortSignal): Promise<void>
  /**
   * Copies a file of the system itself to an unfinished one of that name. Resolves to its SHA-256 and its
   * version. Throws an error for what is no file, or none that `reader` may read.
   */
  copyIn(path: string, name: string, reader: Reader, signal: AbortSignal): Promise<CopiedFile>
  /** A text that changes when the file of the system is written again. Undefined if there is no file. */
  versionOf(path: string, signal: AbortSignal): Promise<string | undefined>
  /** Gives what `copyIn` copied its name. */
  keep(name: string, finalName: string, signal: AbortSignal): Promise<void>
}

export interface CopiedFile {
  /** SHA-256, in hexadecimal. */
  id: string
  version: string
}

/** The one whose permission to read counts. */
export type Reader = Pick<Session, 'uid' | 'gid'> & { groups: readonly number[] }

export const partialName = (name: string) => `${name}.partial`

/** Owner and mode bits of a file. */
export interface FileAccess {
  uid: number
  gid: number
  mode: number
}

/** Whether the file's own permission bits let them read it. */
export function mayReadFile({ uid, gid, mode }: FileAccess, reader: Reader): boolean {
  if (reader.uid === 0) return true
  if (uid === reader.uid) return (mode & 0o400) !== 0
  if (gid === reader.gid || reader.groups.includes(gid)) return (mode & 0o040) !== 0
  return (mode & 0o004) !== 0
}

/** What the files of an image are to be: for the gateway and the runtime, which is root. */
export const FILE_MODE = 0o600
