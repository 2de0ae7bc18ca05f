import { closeSync, constants, fsyncSync, openSync } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Writes that survive a power cut: the bytes are synced, then the name is, then and only then it is said. */

interface Sync {
  running: Promise<void>
  /** Shared by everyone who came while `running` was already under way and may have missed their change. */
  next: Promise<void> | undefined
}

const syncs = new Map<string, Sync>()

async function fsync(path: string) {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Makes renames in a folder durable. Callers that come at the same time share one fsync. */
export function syncFolder(path: string): Promise<void> {
  const sync = syncs.get(path)
  if (sync) {
    sync.next ??= sync.running.catch(() => {}).then(() => startSync(path))
    return sync.next
  }
  return startSync(path)
}

function startSync(path: string): Promise<void> {
  const sync: Sync = { running: fsync(path), next: undefined }
  syncs.set(path, sync)
  const done = () => {
    if (syncs.get(path) === sync && !sync.next) syncs.delete(path)
  }
  sync.running.then(done, done)
  return sync.running
}

/** The same while nothing else runs, at start. */
export function syncFolderNow(path: string) {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Each write returns when its bytes are on the disk: one call in place of a write and an fdatasync. */
const NEW_AND_SYNCED = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_DSYNC

/** Writes a new file and syncs it; its name is not yet durable. */
export async function writeSynced(path: string, text: string, mode = 0o644) {
  const handle = await open(path, NEW_AND_SYNCED, mode)
  try {
    await handle.writeFile(text)
  } finally {
    closeLater(handle)
  }
}

/**
 * Replaces a file whole: at every instant, and after a crash, it is the old one or the new one. A call into
 * the system waits for a thread twice, which adds up to as much time as the disk takes: so the folder is opened
 * meanwhile, and nobody waits for what is closed.
 */
export async function replaceFile(target: string, temporary: string, text: string, mode?: number) {
  const folder = open(dirname(target), 'r')
  // Looked at when it is needed.
  folder.catch(() => {})
  try {
    await writeSynced(temporary, text, mode)
    await rename(temporary, target)
    await (await folder).sync()
  } catch (error) {
    await unlink(temporary).catch(() => {})
    throw error
  } finally {
    folder.then(closeLater, () => {})
  }
}

/** There is nothing left that could fail in it. */
function closeLater(handle: FileHandle) {
  handle.close().catch(() => {})
}

/** Writes all of several buffers at a position; a write may take fewer bytes than it was given. */
export async function writeFully(handle: FileHandle, buffers: Buffer[], position: number) {
  let rest = buffers
  let at = position
  while (rest.length > 0) {
    const { bytesWritten } = await handle.writev(rest, at)
    at += bytesWritten
    let written = bytesWritten
    let whole = 0
    while (whole < rest.length && written >= rest[whole]!.length) written -= rest[whole++]!.length
    rest = rest.slice(whole)
    if (rest[0] && written > 0) rest[0] = rest[0].subarray(written)
  }
}
