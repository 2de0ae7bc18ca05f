import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Renames a file and syncs its folder. Opens the folder first, so that a failure to open it changes nothing. */
export async function renameDurably(from: string, to: string) {
  const folder = await open(dirname(to), 'r')
  try {
    await rename(from, to)
    await folder.sync()
  } finally {
    await folder.close()
  }
}
