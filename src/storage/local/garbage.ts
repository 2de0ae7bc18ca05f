import { lstatSync, readdirSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { isActivated } from '../../images/image.ts'
import { commit } from './durable.ts'
import { findStrayFiles, findStrays } from './inspect.ts'
import { cachePath, folderOf, type Layout, manifestPath, temporaryPath } from './layout.ts'
import { emptyFolder, readImages } from './load.ts'
import { isUuid } from './record.ts'

/** What a data directory could do without. */

export interface Garbage {
  /** Below the data directory. */
  path: string
  kind: 'orphan' | 'unactivated'
  /** The image that goes, if it is one. */
  uuid?: string
  bytes: number
  message: string
}

/**
 * What nothing needs in the folders of images and in folders that are named like one, and images that were
 * begun before `deadline` and never activated. An image whose manifest cannot be read is not garbage: its file
 * may be the only copy. What else is in the data directory somebody put there; `check` names it.
 */
export function findGarbage(layout: Layout, deadline: Date): Garbage[] {
  const { images } = readImages(layout)
  const origins = new Set(images.map(({ image }) => image.origin))
  const folders = findStrays(layout).filter(({ subject }) => isUuid(subject))
  const strays = [...folders, ...images.flatMap(({ image }) => findStrayFiles(layout, image))]
  const orphans = strays.map(({ stray, message }): Garbage => {
    const path = stray!
    return { path: relative(layout.root, path), kind: 'orphan', bytes: bytesIn(path), message }
  })
  const forgotten = images.flatMap(({ image }): Garbage[] => {
    const { uuid, name, version } = image
    const changed = lstatSync(manifestPath(layout, uuid)).mtime
    if (isActivated(image) || origins.has(uuid) || changed >= deadline) return []
    const message = `${name} ${version} was never activated, last changed ${changed.toISOString()}`
    return [{ path: uuid, kind: 'unactivated', uuid, bytes: bytesIn(folderOf(layout, uuid)), message }]
  })
  // A stray file in a folder that goes as a whole goes with it.
  const whole = new Set(forgotten.map(({ path }) => path))
  return [...orphans.filter(({ path }) => !whole.has(path.split('/')[0]!)), ...forgotten]
}

/** Removes it for good. The caller has the lock. */
export async function removeGarbage(layout: Layout, garbage: readonly Garbage[]) {
  for (const { path, uuid } of garbage) {
    // One rename out of sight: a crash leaves it whole or gone.
    await commit(join(layout.root, path, '..'), () => rename(join(layout.root, path), temporaryPath(layout)))
    if (uuid) await rm(cachePath(layout, uuid), { force: true })
  }
  emptyFolder(layout.tmp)
}

/** What a link leads to is not counted: it stays. */
function bytesIn(path: string): number {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (!stats?.isDirectory()) return stats?.size ?? 0
  return readdirSync(path).reduce((total, name) => total + bytesIn(join(path, name)), 0)
}
