import type { FileHandle } from 'node:fs/promises'

/** Writes several buffers at a position, repeating short writes. */
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
