import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { storageIsDown } from '../../images/errors.ts'
import type { Image, StoredFile } from '../../images/image.ts'
import { linkRegular } from '../../util/regular-file.ts'
import { UncertainChange } from '../uncertain-change.ts'
import { serialize, writeDocument } from './document.ts'
import { commit, syncFolder, writeSynced } from './durable.ts'
import { toDocument } from './image-document.ts'
import {
  cachePath,
  filePath,
  folderOf,
  type Layout,
  MANIFEST,
  manifestPath,
  stagedPath,
  temporaryPath,
} from './layout.ts'
import { readImage } from './load.ts'

/**
 * Changes the folders of images on the disk. Each change is committed by one durable rename. A change throws
 * UncertainChange if it failed but may have happened all the same.
 */
export class ImageFolders {
  readonly #layout: Layout

  constructor(layout: Layout) {
    this.#layout = layout
  }

  /** Reads an image from the disk; undefined if it does not exist. Throws an error if it cannot be read. */
  read(uuid: string) {
    return readImage(this.#layout, uuid)
  }

  /** Replaces the manifest of an existing image. */
  async write(image: Image) {
    const path = manifestPath(this.#layout, image.uuid)
    await writeDocument(path, () => temporaryPath(this.#layout), toDocument(image))
  }

  /** Builds the folder in `.tmp` and renames it into place. `replaces`: the image whose files become its own. */
  async add(image: Image, replaces?: string) {
    const folder = temporaryPath(this.#layout)
    const target = folderOf(this.#layout, image.uuid)
    const prepare = async () => {
      await mkdir(folder)
      await this.#putFiles(image, folder, replaces)
      await writeSynced(join(folder, MANIFEST), serialize(toDocument(image, replaces)))
      await syncFolder(folder)
    }
    try {
      await commit(this.#layout.root, () => rename(folder, target), prepare)
    } catch (error) {
      await rm(folder, { recursive: true, force: true }).catch(() => {})
      // illumos reports EEXIST.
      if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) {
        throw storageIsDown(this.#describeConflict(image.uuid), error)
      }
      throw error
    }
  }

  /** Renames the folder into `.tmp`, which commits the removal, and then deletes it. */
  async remove(uuid: string) {
    const { root } = this.#layout
    const aside = temporaryPath(this.#layout)
    const moveAside = () =>
      rename(folderOf(this.#layout, uuid), aside).catch((error: NodeJS.ErrnoException) => {
        // The operator may have removed the folder by hand.
        if (error.code !== 'ENOENT' || this.exists(uuid)) throw error
      })
    try {
      await commit(root, moveAside)
    } catch (error) {
      // A power cut could restore the folder's name: keep its bytes until the removal is durable.
      if (error instanceof UncertainChange) await syncFolder(root).then(() => this.#drop(aside), ignore)
      throw error
    }
    await this.#drop(aside)
    await rm(cachePath(this.#layout, uuid), { force: true }).catch(ignore)
  }

  exists(uuid: string) {
    return existsSync(folderOf(this.#layout, uuid))
  }

  /** Makes the stored state of an image durable, or its absence. */
  async sync(uuid: string) {
    if (this.exists(uuid)) await syncFolder(folderOf(this.#layout, uuid))
    await syncFolder(this.#layout.root)
  }

  /** Moves the staged files into the folder, or links those of the image that it replaces. */
  async #putFiles({ uuid, files, icon }: Image, folder: string, replaces?: string) {
    const put = ({ name }: StoredFile) =>
      replaces
        ? linkRegular(filePath(this.#layout, replaces, name), join(folder, name))
        : rename(stagedPath(this.#layout, uuid, name), join(folder, name))
    for (const file of [...files, ...(icon ? [icon] : [])]) await put(file)
  }

  /** Tells the operator why the folder of a new image could not be created. */
  #describeConflict(uuid: string) {
    const target = folderOf(this.#layout, uuid)
    return existsSync(manifestPath(this.#layout, uuid))
      ? `${target} was put there while the server runs: restart it to serve that image, or move it aside`
      : `${target} is in the way and has no manifest: move it aside`
  }

  /** Deletes a folder in `.tmp`; leftovers are deleted at the next start. */
  async #drop(aside: string) {
    await rm(aside, { recursive: true, force: true }).catch(ignore)
  }
}

const ignore = () => {}
