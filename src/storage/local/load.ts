import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isUuid } from '../../images/fields.ts'
import { isActivated } from '../../images/image.ts'
import type { Versioned } from '../../images/ports.ts'
import { OperatorError } from '../../util/operator-error.ts'
import { readRegularNow } from '../../util/regular-file.ts'
import { LARGEST_ICON } from './adopt.ts'
import { type Document, readDocument } from './document.ts'
import { makeFolderNow, syncFolderNow } from './durable.ts'
import { damageOf, type Folder } from './folder.ts'
import { fromDocument } from './image-document.ts'
import { folderOf, type Layout, MANIFEST, manifestPath } from './layout.ts'

/** The content of a data directory. */
export interface Loaded {
  images: Versioned[]
  /** By UUID of an image whose manifest cannot be read: the reason. */
  unreadable: Map<string, string>
  /** Unfinished changes of UUID: the replaced UUID by the new one. */
  replacements: Map<string, string>
}

/**
 * Creates the server's own folders, empties `.tmp` and reads every manifest. A manifest that cannot be read affects
 * only its own image.
 */
export function loadDatadir(layout: Layout): Loaded {
  makeFolderNow(layout.root)
  for (const path of [layout.tmp, layout.cache, layout.jobs]) mkdirSync(path, { recursive: true })
  // Before `.tmp` is emptied: a deleted image keeps its bytes until the removal of its folder is durable.
  syncFolderNow(layout.root)
  emptyFolder(layout.tmp)
  return readImages(layout)
}

/**
 * Empties a folder, or creates it. Does not remove it, because on a full disk it could not be created again. Throws
 * OperatorError if it is a link, whose target must not be emptied.
 */
export function emptyFolder(path: string) {
  mkdirSync(path, { recursive: true })
  if (lstatSync(path).isSymbolicLink()) throw new OperatorError(`${path} is a symbolic link: remove it`)
  for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true, force: true })
}

/** Reads all images, or those in `only`, and changes nothing. */
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
  for (const [uuid, replaced] of loaded.replacements) {
    if (!isReplacement(loaded.images, uuid, replaced)) loaded.replacements.delete(uuid)
  }
  return loaded
}

/** Returns whether one image may replace another: that one must not be activated, and both must have the same files. */
function isReplacement(images: readonly Versioned[], uuid: string, replaced: string): boolean {
  const find = (key: string) => images.find(({ image }) => image.uuid === key)?.image
  const [next, before] = [find(uuid), find(replaced)]
  const names = (image: typeof next) => image?.files.map(({ name, sha1 }) => `${name} ${sha1}`).join()
  return before === undefined || (!isActivated(before) && names(before) === names(next))
}

/** Reads the image in a folder; undefined if the folder has no manifest. Throws an error if it cannot be read. */
export function readImage(layout: Layout, uuid: string) {
  const document = readIfExists(manifestPath(layout, uuid))
  if (!document) return undefined
  const folder = folderFor(layout, uuid)
  const { image, replaces } = fromDocument(document, folder)
  return { versioned: { image, revision: 1, damage: damageOf(image, folder) }, replaces }
}

function readIfExists(path: string): Document | undefined {
  try {
    return readDocument(path)
  } catch (error) {
    // It does not exist, or a file has a UUID as its name.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

/** Gives access to an image's folder. Reads nothing in advance: most images need only their manifest. */
function folderFor(layout: Layout, uuid: string): Folder {
  const path = folderOf(layout, uuid)
  return {
    uuid,
    manifestTime: () => lstatSync(join(path, MANIFEST)).mtime,
    stat: name => lstatSync(join(path, name), { throwIfNoEntry: false }),
    names: () => readdirSync(path).filter(name => name !== MANIFEST),
    digest: name => {
      const bytes = readRegularNow(join(path, name), LARGEST_ICON)
      const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex')
      return { sha1: hash('sha1'), md5: hash('md5') }
    },
  }
}
