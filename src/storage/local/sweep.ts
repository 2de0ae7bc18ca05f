import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Image } from '../../images/image.ts'
import { folderOf, isOurName, type Layout } from './layout.ts'

/**
 * Removes files that a crash left in the folders of images: files with a name that this server generated and that no
 * manifest names. Touches nothing else. Runs in the background of the started server, one folder at a time, since a
 * hundred thousand folders take too long at start. Files newer than the server belong to uploads and are kept.
 */
export async function sweepLeftovers(
  layout: Layout,
  uuids: readonly string[],
  find: (uuid: string) => Image | undefined,
  signal: AbortSignal,
) {
  const started = Date.now()
  for (const uuid of uuids) {
    if (signal.aborted) return
    const folder = folderOf(layout, uuid)
    // If the image is deleted meanwhile, its leftovers are deleted with it.
    const names = await readdir(folder).catch(() => [])
    for (const name of names) {
      if (!isOurName(name) || isKnown(find(uuid), name)) continue
      const path = join(folder, name)
      const found = await lstat(path).catch(() => undefined)
      // The change time is that of the last rename: the bytes of an import may be older than the server.
      if (found && found.ctimeMs < started && !isKnown(find(uuid), name)) await rm(path, { force: true })
    }
  }
}

const isKnown = (image: Image | undefined, name: string) =>
  image === undefined || image.icon?.name === name || image.files.some(file => file.name === name)
