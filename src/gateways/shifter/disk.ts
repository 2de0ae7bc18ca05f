import { statfs } from 'node:fs/promises'

/** Throws an error for the client if the disk of a folder has less free space than `bytes`. */
export async function checkFree(folder: string, bytes: number) {
  const { bavail, bsize } = await statfs(folder)
  if (bytes > bavail * bsize) {
    throw new Error(`not enough space in ${folder}: ${bytes} bytes are needed, ${bavail * bsize} are free`)
  }
}
