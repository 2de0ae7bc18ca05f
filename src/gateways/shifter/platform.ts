import type { Session } from './session.ts'

/**
 * A system's folder of images. A file is written under a name that ends in `.partial` and renamed when it is
 * complete and synced. Methods reject with an error for the client.
 */
export interface Platform {
  /** Resolves to whether all of these files exist. */
  has(names: readonly string[], signal: AbortSignal): Promise<boolean>
  /** Resolves to the free space in bytes. */
  freeSpace(signal: AbortSignal): Promise<number>
  /** Copies or moves a file of this host to the system. */
  deliver(path: string, name: string, signal: AbortSignal): Promise<void>
  /** Removes these files if they exist. */
  remove(names: readonly string[], signal: AbortSignal): Promise<void>
  /**
   * Copies a file of the system to the partial file of that name. Resolves to its SHA-256 and its version.
   * Rejects if it is not a file or if `reader` may not read it.
   */
  copyIn(path: string, name: string, reader: Reader, signal: AbortSignal): Promise<CopiedFile>
  /** Resolves to a text that changes when the file of the system changes; undefined if there is no file. */
  versionOf(path: string, signal: AbortSignal): Promise<string | undefined>
  /** Syncs the partial file of `copyIn` and renames it. */
  commit(name: string, finalName: string, signal: AbortSignal): Promise<void>
}

export interface CopiedFile {
  /** SHA-256, in hexadecimal. */
  id: string
  version: string
}

/** The user whose permission to read a file is checked. */
export type Reader = Pick<Session, 'uid' | 'gid'> & { groups: readonly number[] }

export const partialName = (name: string) => `${name}.partial`

/** Owner, group and mode bits of a file. */
export interface FileAccess {
  uid: number
  gid: number
  mode: number
}

/** Returns whether the permission bits of a file allow a user to read it. */
export function mayReadFile({ uid, gid, mode }: FileAccess, reader: Reader): boolean {
  if (reader.uid === 0) return true
  if (uid === reader.uid) return (mode & 0o400) !== 0
  if (gid === reader.gid || reader.groups.includes(gid)) return (mode & 0o040) !== 0
  return (mode & 0o004) !== 0
}

/** Mode of the files of an image, which only the gateway and the runtime, which is root, read. */
export const FILE_MODE = 0o600
