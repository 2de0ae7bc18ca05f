import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { storageIsDown } from '../../images/errors.ts'
import type { Image, StoredFile } from '../../images/image.ts'
import { linkRegular } from '../../util/regular-file.ts'
import { UncertainChange } from '../uncertain-change.ts'
import { serialize, writeDocument } from './document.ts'
import { commit, syncFolder, writeSynced } from './durable.ts'
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
import { toDocument } from './record.ts'

/**
 * The folders of images on the disk. Each change is one rename that is made durable: that is the commit. Every
 * change throws UncertainChange if it may have happened all the same.
 */
export class ImageFolders {
  readonly #layout: Layout

  constructor(layout: Layout) {
    this.#layout = layout
  }

  /** The image as it is stored now; undefined if there is none. Throws an error if that cannot be said. */
  read(uuid: string) {
    return readImage(this.#layout, uuid)
  }

  /** Writes the manifest of an image that is there. */
  async write(image: Image) {
    const path = manifestPath(this.#layout, image.uuid)
    await writeDocument(path, () => temporaryPath(this.#layout), toDocument(image))
  }

  /** Makes the folder whole in `.tmp` and moves it into place. `replaces`: the image whose files become its own. */
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
      // EEXIST is what illumos says.
      if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) {
        throw storageIsDown(this.#inTheWay(image.uuid), error)
      }
      throw error
    }
  }

  /** Moves the folder out of sight; its bytes go afterwards. */
  async remove(uuid: string) {
    const { root } = this.#layout
    const aside = temporaryPath(this.#layout)
    const moveAside = () =>
      rename(folderOf(this.#layout, uuid), aside).catch((error: NodeJS.ErrnoException) => {
        // Removed by hand, it is gone all the same.
        if (error.code !== 'ENOENT' || this.isThere(uuid)) throw error
      })
    try {
      await commit(root, moveAside)
    } catch (error) {
      // A power cut could restore the folder's name: until that is out of the question its bytes stay.
      if (error instanceof UncertainChange) await syncFolder(root).then(() => this.#drop(aside), ignore)
      throw error
    }
    await this.#drop(aside)
    await rm(cachePath(this.#layout, uuid), { force: true }).catch(ignore)
  }

  isThere(uuid: string) {
    return existsSync(folderOf(this.#layout, uuid))
  }

  /** Makes durable what is stored of an image, or that nothing is. */
  async sync(uuid: string) {
    if (this.isThere(uuid)) await syncFolder(folderOf(this.#layout, uuid))
    await syncFolder(this.#layout.root)
  }

  /** Those that were staged for the image, or, as links, those of the image that it replaces. */
  async #putFiles({ uuid, files, icon }: Image, folder: string, replaces?: string) {
    const put = ({ name }: StoredFile) =>
      replaces
        ? linkRegular(filePath(this.#layout, replaces, name), join(folder, name))
        : rename(stagedPath(this.#layout, uuid, name), join(folder, name))
    for (const file of [...files, ...(icon ? [icon] : [])]) await put(file)
  }

  #inTheWay(uuid: string) {
    const target = folderOf(this.#layout, uuid)
    return existsSync(manifestPath(this.#layout, uuid))
      ? `${target} was put there while the server runs: restart it to serve that image, or move it aside`
      : `${target} is in the way and has no manifest: move it aside`
  }

  /** What is left of it if this fails goes at the next start. */
  async #drop(aside: string) {
    await rm(aside, { recursive: true, force: true }).catch(ignore)
  }
}

const ignore = () => {}
