import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Image } from '../../images/image.ts'
import { folderOf, isOurName, type Layout } from './layout.ts'

/**
 * Removes what a crash left beside manifests: files of our own naming that no manifest points at, because the
 * crash came before the commit or after it. Nothing else is ever touched. Goes on behind a server that
 * already works, one folder at a time, since a hundred thousand folders take longer than a start may: what is
 * as young as the server is somebody's upload and stays.
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
    // An image that is deleted meanwhile takes its leftovers along.
    const names = await readdir(folder).catch(() => [])
    for (const name of names) {
      if (!isOurName(name) || isKnown(find(uuid), name)) continue
      const path = join(folder, name)
      const found = await lstat(path).catch(() => undefined)
      // Its last rename counts, which the change time tells: bytes of an import may be older than the server.
      if (found && found.ctimeMs < started && !isKnown(find(uuid), name)) await rm(path, { force: true })
    }
  }
}

const isKnown = (image: Image | undefined, name: string) =>
  image === undefined || image.icon?.name === name || image.files.some(file => file.name === name)
