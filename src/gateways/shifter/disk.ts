import { statfs } from 'node:fs/promises'

/** Throws an error for people if a folder has no room for that many bytes. */
export async function checkFree(folder: string, bytes: number) {
  const { bavail, bsize } = await statfs(folder)
  if (bytes > bavail * bsize) {
    throw new Error(
      `there is not enough space in ${folder}: ${bytes} bytes are needed, ${bavail * bsize} are free`,
    )
  }
}
