import { lstatSync, readdirSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { isUuid } from '../../images/fields.ts'
import { isActivated } from '../../images/image.ts'
import { commit } from './durable.ts'
import { findStrayFiles, findStrays } from './inspect.ts'
import { cachePath, folderOf, type Layout, manifestPath, temporaryPath } from './layout.ts'
import { emptyFolder, readImages } from './load.ts'

/** A part of a data directory that can be removed. */
export interface Garbage {
  /** Relative to the data directory. */
  path: string
  kind: 'orphan' | 'unactivated'
  /** The image that is removed, if `path` is a whole image. */
  uuid?: string
  bytes: number
  message: string
}

/**
 * Finds unused files in folders of images and in folders with a UUID as their name, and images that were never
 * activated and last changed before `deadline`. An image whose manifest cannot be read is not garbage: its file
 * may be the only copy. Anything else was put there by the operator: `check` reports it.
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
  // A stray file in a folder that is removed as a whole is not listed separately.
  const whole = new Set(forgotten.map(({ path }) => path))
  return [...orphans.filter(({ path }) => !whole.has(path.split('/')[0]!)), ...forgotten]
}

/** Removes garbage durably. The caller must hold the lock of the data directory. */
export async function removeGarbage(layout: Layout, garbage: readonly Garbage[]) {
  for (const { path, uuid } of garbage) {
    // One rename to `.tmp`, so that a crash leaves it either complete or removed.
    await commit(join(layout.root, path, '..'), () => rename(join(layout.root, path), temporaryPath(layout)))
    if (uuid) await rm(cachePath(layout, uuid), { force: true })
  }
  emptyFolder(layout.tmp)
}

/** Returns the size of a file or folder. The target of a link is not counted, since it is not removed. */
function bytesIn(path: string): number {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (!stats?.isDirectory()) return stats?.size ?? 0
  return readdirSync(path).reduce((total, name) => total + bytesIn(join(path, name)), 0)
}
