import { closeSync, constants, fstatSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { CoalescedRuns } from '../../util/coalesced-runs.ts'
import { UncertainChange } from '../uncertain-change.ts'

/** Writes that survive a power cut: first the bytes are synced, then the name, and only then is success reported. */

/**
 * By device and inode, because a path may point to another folder a moment later. This state and `closing` are of the
 * process, as the folders and the descriptors are.
 */
const syncs = new CoalescedRuns()

function keyOf({ fd }: FileHandle): string {
  const { dev, ino } = fstatSync(fd)
  return `${dev} ${ino}`
}

/**
 * Changes names in a folder durably. The folder is opened before `change` runs: an error until then, or one of
 * `prepare`, means that nothing has changed. Throws UncertainChange for every later error. Each asynchronous call costs
 * two switches of threads, which add up to as much time as the disk takes: so the folder is opened while `prepare`
 * runs, and its close is not awaited.
 */
export async function commit(
  path: string,
  change: () => Promise<void>,
  prepare: () => Promise<void> = async () => {},
) {
  const [opened, prepared] = await Promise.allSettled([open(path, 'r'), prepare()])
  try {
    if (prepared.status === 'rejected') throw prepared.reason
    if (opened.status === 'rejected') throw opened.reason
    const folder = opened.value
    const key = keyOf(folder)
    try {
      await change()
      await syncs.run(key, () => folder.sync())
    } catch (error) {
      throw new UncertainChange(error)
    }
  } finally {
    if (opened.status === 'fulfilled') closeLater(opened.value)
  }
}

/** Makes the names in a folder durable. */
export async function syncFolder(path: string) {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    closeLater(folder)
  }
}

/** Does the same synchronously, at start. */
export function syncFolderNow(path: string) {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Creates a folder and its missing parents durably and synchronously, at start. */
export function makeFolderNow(path: string, mode?: number) {
  const first = mkdirSync(path, { recursive: true, mode })
  if (first === undefined) return
  for (let made = resolve(path); made.length >= resolve(first).length; made = dirname(made)) {
    syncFolderNow(dirname(made))
  }
}

/** Each write returns when its bytes are on the disk: one call instead of a write and an fdatasync. */
const NEW_AND_SYNCED = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_DSYNC

/** Writes a new file and syncs its bytes, but not its name. */
export async function writeSynced(path: string, text: string, mode = 0o644) {
  const handle = await open(path, NEW_AND_SYNCED, mode)
  try {
    await handle.writeFile(text)
  } finally {
    closeLater(handle)
  }
}

/**
 * Replaces a file atomically: at every moment, and after a crash, the name has the old content or the new one. Throws
 * UncertainChange if it may be the new one already.
 */
export async function replaceFile(target: string, temporary: string, text: string, mode?: number) {
  try {
    await commit(
      dirname(target),
      () => rename(temporary, target),
      () => writeSynced(temporary, text, mode),
    )
  } catch (error) {
    await unlink(temporary).catch(() => {})
    throw error
  }
}

const closing = new Set<Promise<void>>()

/** Closes a handle in the background: everything is synced by then, so an error of the close does not matter. */
function closeLater(handle: FileHandle) {
  const closed = handle.close().catch(() => {})
  closing.add(closed)
  closed.finally(() => closing.delete(closed))
}

/** Waits for all closes in the background. */
export const allClosed = () => Promise.all(closing)
