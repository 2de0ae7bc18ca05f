import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats } from 'node:fs'
import { type FileHandle, link, lstat, open, unlink } from 'node:fs/promises'

/**
 * Opens files whose names come from a record or from another user. A link could point to any file of this machine, and
 * opening a pipe would block. So only regular files are opened, and the check is made on the open file.
 */

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants

/** The name exists and is not a regular file. The message continues a sentence whose subject is the name. */
export class NotRegularError extends Error {
  override readonly name = 'NotRegularError'
}

/** Describes what is at a path instead of a regular file; undefined if it is one. */
export function irregularity(stats: Stats): string | undefined {
  if (stats.isFile()) return undefined
  if (stats.isSymbolicLink())
    return 'is a symbolic link, which is not followed: put the file itself in its place'
  return `is ${stats.isDirectory() ? 'a directory' : 'a pipe, a socket or a device'}, not a file`
}

function requireRegular(stats: Stats): Stats {
  const problem = irregularity(stats)
  if (problem) throw new NotRegularError(problem)
  return stats
}

/** Turns the system's refusal to open a link or a socket into a NotRegularError. */
function explained(error: unknown, path: string): unknown {
  const { code = '' } = error as NodeJS.ErrnoException
  // FreeBSD reports EMLINK for a link. ELOOP may also be caused by a parent folder.
  if (!['ELOOP', 'EMLINK', 'ENXIO', 'EISDIR'].includes(code)) return error
  const found = lstatSync(path, { throwIfNoEntry: false })
  const problem = found && irregularity(found)
  return problem ? new NotRegularError(problem) : error
}

/**
 * Opens a regular file without following a link or blocking. `flags`: further flags of `open`. The caller closes the
 * handle. Throws NotRegularError, or the system's error.
 */
export async function openRegular(
  path: string,
  flags = O_RDONLY,
  mode?: number,
): Promise<{ handle: FileHandle; stats: Stats }> {
  const handle = await open(path, flags | O_NOFOLLOW | O_NONBLOCK, mode).catch(error => {
    throw explained(error, path)
  })
  try {
    return { handle, stats: requireRegular(await handle.stat()) }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Hard-links a regular file. On an error there is no second name. Throws NotRegularError, or the system's error. */
export async function linkRegular(path: string, second: string) {
  // Linking a symbolic link makes another one, so the check of the result covers the source.
  await link(path, second)
  try {
    requireRegular(await lstat(second))
  } catch (error) {
    await unlink(second)
    throw error
  }
}

const tooLarge = (size: number, largest: number) =>
  new Error(`has ${size} bytes, more than the ${largest} that are read`)

/**
 * Reads a regular file synchronously, up to the size that it had when it was opened. `largest`: the limit in bytes.
 * `follow`: whether it may be a link. Throws NotRegularError, an error that it is too large, or the system's error.
 */
export function readRegularNow(path: string, largest: number, { follow = false } = {}): Buffer {
  let fd: number
  try {
    fd = openSync(path, O_RDONLY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW))
  } catch (error) {
    throw explained(error, path)
  }
  try {
    const { size } = requireRegular(fstatSync(fd))
    if (size > largest) throw tooLarge(size, largest)
    const bytes = Buffer.allocUnsafe(size)
    let length = 0
    while (length < size) {
      const read = readSync(fd, bytes, length, size - length, length)
      if (read === 0) break
      length += read
    }
    return bytes.subarray(0, length)
  } finally {
    closeSync(fd)
  }
}

/** Does the same asynchronously, without following a link. */
export async function readRegular(path: string, largest: number): Promise<Buffer> {
  const { handle, stats } = await openRegular(path)
  try {
    const { size } = stats
    if (size > largest) throw tooLarge(size, largest)
    const bytes = Buffer.allocUnsafe(size)
    const { bytesRead } = await handle.read(bytes, 0, size, 0)
    return bytes.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}
