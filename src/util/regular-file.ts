import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats } from 'node:fs'
import { type FileHandle, link, lstat, open, unlink } from 'node:fs/promises'

/**
 * Opens files by a name that a record or another person chose. A link could lead to any file of this machine, and
 * the open of a pipe would wait for its other end: only regular files are opened, and what was opened is what is
 * looked at.
 */

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants

/** The name is there and is no regular file. The message continues a sentence that begins with the name. */
export class NotRegularError extends Error {
  override readonly name = 'NotRegularError'
}

/** Says what is wrong with something that should be a regular file; undefined if it is one. */
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

/** The system's refusal to open a link or a socket, in words. */
function explained(error: unknown, path: string): unknown {
  const { code = '' } = error as NodeJS.ErrnoException
  // FreeBSD says EMLINK of a link. ELOOP may also be about a folder above.
  if (!['ELOOP', 'EMLINK', 'ENXIO', 'EISDIR'].includes(code)) return error
  const found = lstatSync(path, { throwIfNoEntry: false })
  const problem = found && irregularity(found)
  return problem ? new NotRegularError(problem) : error
}

/**
 * Opens a regular file. `flags`: how, beyond not following a link and not waiting. The caller closes the handle.
 * Throws NotRegularError, or the system's error.
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

/** Gives a regular file a second name. Throws NotRegularError, or the system's error, and there is none then. */
export async function linkRegular(path: string, second: string) {
  // A link to a link is one too, so that what came of it is what there was.
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
 * Reads a whole regular file while nothing else runs: as many bytes as it had when it was opened. `largest`: bytes
 * that it may have. `follow`: whether it may be a link. Throws NotRegularError, an error that says that it is too
 * large, or the system's error.
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

/** The same while other things go on. */
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
