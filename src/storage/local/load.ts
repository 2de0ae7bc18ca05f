import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isActivated } from '../../images/image.ts'
import type { Versioned } from '../../images/ports.ts'
import { readRegularNow } from '../../util/regular-file.ts'
import { type Document, readDocument } from './document.ts'
import { makeFolderNow, syncFolderNow } from './durable.ts'
import { folderOf, type Layout, MANIFEST, manifestPath } from './layout.ts'
import { damageOf, type Folder, fromDocument, isUuid, LARGEST_ICON } from './record.ts'

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
  makeFolderNow(layout.root)
  for (const path of [layout.tmp, layout.cache, layout.jobs]) mkdirSync(path, { recursive: true })
  // Before `.tmp` is emptied: the folder of a deleted image keeps its bytes until it has lost its name for good.
  syncFolderNow(layout.root)
  emptyFolder(layout.tmp)
  return readImages(layout)
}

/**
 * The folder itself stays: on a full disk it could not be made again. Throws an error for the operator if it is a
 * link: what it leads to is not ours to empty.
 */
export function emptyFolder(path: string) {
  mkdirSync(path, { recursive: true })
  if (lstatSync(path).isSymbolicLink()) throw new Error(`${path} is a symbolic link: remove it`)
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
  for (const [uuid, replaced] of loaded.replacements) {
    if (!isReplacement(loaded.images, uuid, replaced)) loaded.replacements.delete(uuid)
  }
  return loaded
}

/** Whether one image may go for another: only one without an activation changes its UUID, and its files come along. */
function isReplacement(images: readonly Versioned[], uuid: string, replaced: string): boolean {
  const find = (wanted: string) => images.find(({ image }) => image.uuid === wanted)?.image
  const [next, before] = [find(uuid), find(replaced)]
  const names = (image: typeof next) => image?.files.map(({ name, sha1 }) => `${name} ${sha1}`).join()
  return before === undefined || (!isActivated(before) && names(before) === names(next))
}

/** The image in a folder; nothing for what has no manifest, which is no image. */
export function readImage(layout: Layout, uuid: string) {
  const document = readIfThere(manifestPath(layout, uuid))
  if (!document) return undefined
  const folder = folderFor(layout, uuid)
  const { image, replaces } = fromDocument(document, folder)
  return { versioned: { image, revision: 1, damage: damageOf(image, folder) }, replaces }
}

function readIfThere(path: string): Document | undefined {
  try {
    return readDocument(path)
  } catch (error) {
    // Nothing there, or a file that is named like an image.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

/** Looks into an image's folder as far as it is asked to: most images are known from their manifest alone. */
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
