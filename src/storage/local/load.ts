import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Versioned } from '../../images/ports.ts'
import { readDocument } from './document.ts'
import { syncFolderNow } from './durable.ts'
import { folderOf, isOurName, type Layout, MANIFEST, manifestPath } from './layout.ts'
import { damageOf, type Folder, fromDocument, isUuid } from './record.ts'

/** What is in a data directory. */
export interface Loaded {
  images: Versioned[]
  /** Images whose manifest cannot be read, and why. */
  unreadable: Map<string, string>
  /** Images that are to take another's place: that one's UUID by theirs. */
  replacements: Map<string, string>
}

/**
 * Makes the folders of our own, empties `.tmp`, and reads every manifest. A manifest that cannot be read
 * harms one image.
 */
export function loadDatadir(layout: Layout): Loaded {
  mkdirSync(layout.root, { recursive: true })
  emptyFolder(layout.tmp)
  mkdirSync(layout.cache, { recursive: true })
  mkdirSync(layout.jobs, { recursive: true })
  syncFolderNow(layout.root)
  return readImages(layout)
}

/** The folder itself stays: on a full disk it could not be made again. */
export function emptyFolder(path: string) {
  mkdirSync(path, { recursive: true })
  for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true, force: true })
}

/** Reads all images, or those `only`, and changes nothing. */
export function readImages(layout: Layout, only?: ReadonlySet<string>): Loaded {
  const loaded: Loaded = { images: [], unreadable: new Map(), replacements: new Map() }
  for (const uuid of readdirSync(layout.root)) {
    if (!isUuid(uuid) || only?.has(uuid) === false) continue
    try {
      const found = readImage(layout, uuid)
      if (!found) continue
      loaded.images.push(found.versioned)
      if (found.replaces) loaded.replacements.set(uuid, found.replaces)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      loaded.unreadable.set(uuid, `the manifest of image ${uuid} cannot be read: ${message}`)
    }
  }
  return loaded
}

/** The image in a folder; nothing for a folder without a manifest, which is no image. */
function readImage(layout: Layout, uuid: string) {
  const folder = readFolder(layout, uuid)
  if (!folder) return undefined
  const { image, replaces } = fromDocument(readDocument(manifestPath(layout, uuid)), folder)
  const damage = damageOf(image, folder.entries)
  return { versioned: { image, revision: 1, damage }, replaces }
}

/** The names and sizes in an image's folder. */
export function readFolder(layout: Layout, uuid: string): Folder | undefined {
  const path = folderOf(layout, uuid)
  const names = namesIn(path)
  if (!names?.includes(MANIFEST)) return undefined
  const stat = (name: string) => statSync(join(path, name))
  const others = names.filter(name => name !== MANIFEST)
  return {
    uuid,
    manifestTime: stat(MANIFEST).mtime,
    entries: new Map(
      others.map(name => {
        const { size, mtime } = stat(name)
        return [name, { size, mtime }]
      }),
    ),
    digest: name => {
      const bytes = readFileSync(join(path, name))
      const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex')
      return { sha1: hash('sha1'), md5: hash('md5') }
    },
  }
}

/** Undefined for what is no folder: a file may have any name. */
function namesIn(path: string): string[] | undefined {
  try {
    return readdirSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTDIR') throw error
  }
}

/** Files of our own naming beside a manifest that points elsewhere: a crash came before or after a commit. */
export function findLeftovers(layout: Layout, { image }: Versioned): string[] {
  const path = folderOf(layout, image.uuid)
  const known = new Set([...image.files.map(file => file.name), image.icon?.name])
  return readdirSync(path)
    .filter(name => isOurName(name) && !known.has(name))
    .map(name => join(path, name))
}
