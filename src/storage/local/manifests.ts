import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { alreadyExists } from '../../images/already-exists.ts'
import { ImgapiError, storageIsDown } from '../../images/errors.ts'
import type { Image, StoredFile } from '../../images/image.ts'
import type { ListQuery, Run } from '../../images/listing.ts'
import { ownAncestor } from '../../images/origins.ts'
import type { Manifests, Versioned } from '../../images/ports.ts'
import { hasDependents } from '../../images/remove.ts'
import { linkRegular } from '../../regular-file.ts'
import { Catalogue } from '../catalogue.ts'
import { serialize, writeDocument } from './document.ts'
import { syncFolder, writeSynced } from './durable.ts'
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
import type { Loaded } from './load.ts'
import { toDocument } from './record.ts'

/**
 * Manifests as one lowdb document an image, all of them kept in memory. A change is one durable write of one
 * document, however many images there are. What was decided in memory holds while it is being written:
 * a UUID is taken and an origin has a child from the moment that an insert begins.
 */
export class LocalManifests implements Manifests {
  readonly #layout: Layout
  readonly #catalogue: Catalogue
  readonly #unreadable: Map<string, string>
  /** UUIDs that are being added or removed. */
  readonly #changing = new Set<string>()
  /** The end of the queue of writes to an image. */
  readonly #queues = new Map<string, Promise<unknown>>()

  constructor(layout: Layout, loaded: Loaded) {
    this.#layout = layout
    this.#catalogue = new Catalogue(loaded.images)
    this.#unreadable = loaded.unreadable
  }

  get count() {
    return this.#catalogue.size
  }

  /** The image as it is in memory. */
  peek(uuid: string): Image | undefined {
    return this.#catalogue.get(uuid)?.image
  }

  /** Of an image that is being added or removed, what it is when that is over. */
  async find(uuid: string): Promise<Versioned | undefined> {
    if (this.#changing.has(uuid)) await this.#queues.get(uuid)?.catch(() => {})
    const reason = this.#unreadable.get(uuid)
    if (reason) throw storageIsDown(reason)
    return this.#catalogue.get(uuid)
  }

  async list(query: ListQuery): Promise<readonly Run[]> {
    return this.#catalogue.list(query)
  }

  async listChildren(uuid: string): Promise<readonly Image[]> {
    return this.#catalogue.children(uuid)
  }

  async insert(image: Image, replaces?: Versioned): Promise<boolean> {
    if (!replaces) return this.#add(image)
    const { uuid } = replaces.image
    return this.#inTurn(uuid, async () => {
      if (this.#catalogue.get(uuid)?.revision !== replaces.revision) return false
      this.#requireNoChildren(uuid)
      return this.#whileChanging(uuid, () => this.#add(image, uuid))
    })
  }

  async replace(next: Image, revision: number): Promise<boolean> {
    const { uuid } = next
    return this.#inTurn(uuid, async () => {
      const current = this.#catalogue.get(uuid)
      if (current?.revision !== revision) return false
      const write = () => this.#writeManifest(next)
      await (next.origin === current.image.origin ? write() : this.#withOrigin(next, write))
      const damage = next.files === current.image.files ? current.damage : undefined
      this.#catalogue.put({ image: next, revision: revision + 1, damage })
      return true
    })
  }

  async remove(uuid: string, revision: number): Promise<boolean> {
    return this.#inTurn(uuid, async () => {
      if (this.#catalogue.get(uuid)?.revision !== revision) return false
      this.#requireNoChildren(uuid)
      return this.#whileChanging(uuid, async () => {
        await this.#removeFolder(uuid)
        this.#catalogue.delete(uuid)
        return true
      })
    })
  }

  /**
   * After a change of UUID, or a crash in one: the new folder is there and says whose place it takes.
   * The old one goes, and then the remark, which must not outlive it.
   */
  async finishReplacement(image: Image, replaced: string) {
    if (this.#catalogue.get(replaced)) {
      await this.#removeFolder(replaced)
      this.#catalogue.delete(replaced)
    }
    await this.#writeManifest(image)
  }

  async #add(image: Image, replaced?: string): Promise<boolean> {
    const { uuid } = image
    const taken = this.#catalogue.get(uuid)
    if (taken || this.#unreadable.has(uuid) || this.#changing.has(uuid)) {
      throw alreadyExists(uuid, taken?.image)
    }
    // In turn: a change of an image that can be seen already waits until it is in place.
    const add = async () => {
      await this.#withOrigin(image, () => this.#addFolder(image, replaced))
      this.#catalogue.put({ image, revision: 1 })
      if (replaced) await this.finishReplacement(image, replaced)
      return true
    }
    return this.#whileChanging(uuid, () => this.#inTurn(uuid, add))
  }

  /**
   * Writes an image that gets an origin, which cannot be removed from now on. Until the write is over the image
   * counts as a child of the origin that it has and of the one that it gets, so of two writes that would make a
   * circle together the second is refused. Throws OriginDoesNotExist, or ValidationFailed for such a circle.
   */
  async #withOrigin(image: Image, write: () => Promise<void>) {
    const { origin } = image
    if (origin !== undefined && (!this.#catalogue.get(origin) || this.#changing.has(origin))) {
      throw new ImgapiError('OriginDoesNotExist', `origin image "${origin}" does not exist`)
    }
    if (origin !== undefined && this.#catalogue.isBelow(origin, image.uuid)) throw ownAncestor()
    this.#catalogue.adoptChild(image)
    try {
      await write()
    } catch (error) {
      this.#catalogue.disownChild(image)
      throw error
    }
  }

  #requireNoChildren(uuid: string) {
    const children = this.#catalogue.children(uuid)
    if (children.length > 0) throw hasDependents(uuid, children)
  }

  async #whileChanging<T>(uuid: string, change: () => Promise<T>): Promise<T> {
    this.#changing.add(uuid)
    try {
      return await change()
    } finally {
      this.#changing.delete(uuid)
    }
  }

  async #writeManifest(image: Image) {
    const path = manifestPath(this.#layout, image.uuid)
    await writeDocument(path, () => temporaryPath(this.#layout), toDocument(image))
  }

  /** Makes the folder whole in `.tmp` and moves it into place: that rename, made durable, is the commit. */
  async #addFolder(image: Image, replaces?: string) {
    const folder = temporaryPath(this.#layout)
    const target = folderOf(this.#layout, image.uuid)
    try {
      await mkdir(folder)
      await this.#putFiles(image, folder, replaces)
      await writeSynced(join(folder, MANIFEST), serialize(toDocument(image, replaces)))
      await syncFolder(folder)
      await rename(folder, target)
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      // EEXIST is what illumos says.
      if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) {
        throw storageIsDown(`${target} is in the way and has no manifest: move it aside`, error)
      }
      throw error
    }
    await syncFolder(this.#layout.root)
  }

  /** Those that were staged for the image, or, as links, those of the image that it replaces. */
  async #putFiles({ uuid, files, icon }: Image, folder: string, replaces?: string) {
    const put = ({ name }: StoredFile) =>
      replaces
        ? linkRegular(filePath(this.#layout, replaces, name), join(folder, name))
        : rename(stagedPath(this.#layout, uuid, name), join(folder, name))
    await Promise.all([...files, ...(icon ? [icon] : [])].map(put))
  }

  /** One rename out of sight, made durable, is the commit; the bytes go afterwards. */
  async #removeFolder(uuid: string) {
    const aside = temporaryPath(this.#layout)
    await rename(folderOf(this.#layout, uuid), aside)
    await syncFolder(this.#layout.root)
    // What is left of it if this fails goes at the next start; the image is gone already.
    await Promise.allSettled([
      rm(aside, { recursive: true, force: true }),
      rm(cachePath(this.#layout, uuid), { force: true }),
    ])
  }

  /** Runs changes of one image one after the other; different images do not wait for each other. */
  async #inTurn<T>(uuid: string, change: () => Promise<T>): Promise<T> {
    const turn = (this.#queues.get(uuid) ?? Promise.resolve()).then(change, change)
    this.#queues.set(uuid, turn)
    try {
      return await turn
    } finally {
      if (this.#queues.get(uuid) === turn) this.#queues.delete(uuid)
    }
  }
}
