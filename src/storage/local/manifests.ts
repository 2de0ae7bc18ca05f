import { alreadyExists } from '../../images/already-exists.ts'
import { originDoesNotExist, storageIsDown } from '../../images/errors.ts'
import type { Image } from '../../images/image.ts'
import type { ListQuery, ListSlice } from '../../images/listing.ts'
import { ownAncestor } from '../../images/origins.ts'
import type { Manifests, Versioned } from '../../images/ports.ts'
import { hasDependents } from '../../images/remove.ts'
import { KeyedMutex } from '../../util/keyed-mutex.ts'
import { Catalogue } from '../catalogue.ts'
import { UncertainChange } from '../uncertain-change.ts'
import { ImageFolders } from './image-folders.ts'
import type { Layout } from './layout.ts'
import type { Loaded } from './load.ts'

/** An image whose state in memory may differ from the disk, because a change failed after it had begun. */
interface Doubt {
  uuid: string
  /** The image that it was to replace. */
  replaced?: string | undefined
  /** The intended next state: until the disk is read, the image counts as a child of its origin. */
  next?: Image
  /** Whether memory shows what the disk has since the failure; then only the sync is missing. */
  isRead: boolean
}

/**
 * Stores manifests as one lowdb document per image and caches all of them in memory. A change is one durable write of
 * one document, however many images exist. A decision made in memory is binding while it is being written: a UUID is
 * in use and an origin has a child from the moment an insert begins.
 */
export class LocalManifests implements Manifests {
  readonly #folders: ImageFolders
  readonly #catalogue: Catalogue
  readonly #unreadable: Map<string, string>
  /** UUIDs that are being added or removed. */
  readonly #changing = new Set<string>()
  /** Runs changes of one image one after the other; different images do not wait for each other. */
  readonly #mutex = new KeyedMutex()
  /** By UUID, of the new and of the replaced image. */
  readonly #doubts = new Map<string, Doubt>()

  constructor(layout: Layout, loaded: Loaded) {
    this.#folders = new ImageFolders(layout)
    this.#catalogue = new Catalogue(loaded.images)
    this.#unreadable = loaded.unreadable
  }

  get count() {
    return this.#catalogue.size
  }

  /** Returns the image from memory, without waiting for a change under way. */
  getCached(uuid: string): Image | undefined {
    return this.#catalogue.get(uuid)?.image
  }

  /** Returns whether a manifest names the file, or may name it because the image is in doubt. */
  names(uuid: string, name: string): boolean {
    if (this.#doubts.get(uuid)?.isRead === false) return true
    const image = this.getCached(uuid)
    return image?.icon?.name === name || (image?.files.some(file => file.name === name) ?? false)
  }

  /** Waits for an insert or removal of the image that is under way. Throws StorageIsDown. */
  async find(uuid: string): Promise<Versioned | undefined> {
    if (this.#changing.has(uuid)) await this.#mutex.idle(uuid)
    if (this.#doubts.has(uuid) && (await this.#settle(uuid))?.isRead === false) throw inDoubt(uuid)
    const reason = this.#unreadable.get(uuid)
    if (reason) throw storageIsDown(reason)
    return this.#catalogue.get(uuid)
  }

  async list(query: ListQuery): Promise<readonly ListSlice[]> {
    await this.#readDoubtful()
    return this.#catalogue.list(query)
  }

  async listChildren(uuid: string): Promise<readonly Image[]> {
    await this.#readDoubtful()
    return this.#catalogue.children(uuid)
  }

  async insert(image: Image, replaces?: Versioned): Promise<boolean> {
    // Without a doubt there must be no await before `#add` reserves the UUID.
    if (this.#doubts.size > 0) await this.#requireSettled(image.uuid, replaces?.image.uuid)
    if (!replaces) return this.#add(image)
    const { uuid } = replaces.image
    return this.#mutex.run(uuid, async () => {
      if (this.#catalogue.get(uuid)?.revision !== replaces.revision) return false
      this.#requireNoChildren(uuid)
      return this.#whileChanging(uuid, () => this.#add(image, uuid))
    })
  }

  async replace(next: Image, revision: number): Promise<boolean> {
    const { uuid } = next
    if (this.#doubts.size > 0) await this.#requireSettled(uuid)
    return this.#mutex.run(uuid, async () => {
      const current = this.#catalogue.get(uuid)
      if (current?.revision !== revision) return false
      const write = () => this.#attempt({ uuid, next, isRead: false }, () => this.#folders.write(next))
      await (next.origin === current.image.origin ? write() : this.#withOrigin(next, write))
      const damage = next.files === current.image.files ? current.damage : undefined
      this.#catalogue.put({ image: next, revision: revision + 1, damage })
      return true
    })
  }

  async remove(uuid: string, revision: number): Promise<boolean> {
    if (this.#doubts.size > 0) await this.#requireSettled(uuid)
    return this.#mutex.run(uuid, async () => {
      if (this.#catalogue.get(uuid)?.revision !== revision) return false
      this.#requireNoChildren(uuid)
      return this.#whileChanging(uuid, async () => {
        await this.#attempt({ uuid, isRead: false }, () => this.#folders.remove(uuid))
        this.#catalogue.delete(uuid)
        return true
      })
    })
  }

  /**
   * Finishes a change of UUID, also after a crash: removes the replaced folder and then the `replaces` mark in the new
   * one, which must not outlive it. A step that fails is retried before the next change of either image.
   */
  async finishReplacement(uuid: string, replaced: string) {
    await this.#resolveDoubt(this.#addDoubt({ uuid, replaced, isRead: false }))
  }

  async #add(image: Image, replaced?: string): Promise<boolean> {
    const { uuid } = image
    const existing = this.#catalogue.get(uuid)
    if (existing || this.#unreadable.has(uuid) || this.#changing.has(uuid)) {
      throw alreadyExists(uuid, existing?.image)
    }
    // Under the mutex: as soon as the image is visible it can be changed, and that has to wait for the insert.
    const add = async () => {
      const doubt = { uuid, replaced, next: image, isRead: false }
      const write = () => this.#attempt(doubt, () => this.#folders.add(image, replaced))
      await this.#withOrigin(image, write)
      this.#catalogue.put({ image, revision: 1 })
      if (replaced) await this.finishReplacement(uuid, replaced)
      return true
    }
    return this.#whileChanging(uuid, () => this.#mutex.run(uuid, add))
  }

  /**
   * Writes an image with a new origin, which cannot be removed from now on. During the write the image counts as a
   * child of both its old and its new origin, so of two writes that would form a circle together the second is
   * refused. Throws OriginDoesNotExist, or ValidationFailed for a circle.
   */
  async #withOrigin(image: Image, write: () => Promise<void>) {
    const { origin } = image
    if (origin !== undefined && (!this.#catalogue.get(origin) || this.#changing.has(origin))) {
      throw originDoesNotExist(origin)
    }
    if (origin !== undefined && this.#doubts.get(origin)?.isRead === false) throw inDoubt(origin)
    if (origin !== undefined && this.#catalogue.isBelow(origin, image.uuid)) throw ownAncestor()
    this.#catalogue.adoptChild(image)
    try {
      await write()
    } catch (error) {
      if (this.#doubts.get(image.uuid)?.isRead !== false) this.#disownUnlessChild(image)
      throw error
    }
  }

  /** Removes the image from its origin's children, unless the stored image has that origin. */
  #disownUnlessChild(image: Image) {
    if (this.getCached(image.uuid)?.origin !== image.origin) this.#catalogue.disownChild(image)
  }

  /** Runs a change. If it fails and may have happened all the same, reads the disk again before it throws the error. */
  async #attempt(doubt: Doubt, change: () => Promise<void>) {
    try {
      await change()
    } catch (error) {
      if (error instanceof UncertainChange) await this.#resolveDoubt(this.#addDoubt(doubt))
      throw error
    }
  }

  #addDoubt(doubt: Doubt): Doubt {
    this.#doubts.set(doubt.uuid, doubt)
    if (doubt.replaced) this.#doubts.set(doubt.replaced, doubt)
    return doubt
  }

  /** Tries to resolve the doubt about an image. Returns the doubt that remains. */
  async #settle(uuid: string): Promise<Doubt | undefined> {
    const doubt = this.#doubts.get(uuid)
    if (doubt) await this.#mutex.run(doubt.uuid, () => this.#resolveDoubt(doubt))
    return this.#doubts.get(uuid)
  }

  /** Must run before a change of these images. Throws StorageIsDown if one of them is still in doubt. */
  async #requireSettled(...uuids: (string | undefined)[]) {
    await this.#readDoubtful()
    for (const uuid of uuids) if (uuid && (await this.#settle(uuid))) throw inDoubt(uuid)
  }

  /** Must run before an answer about all images: reads again what could not be read after a failure. */
  async #readDoubtful() {
    if (this.#doubts.size === 0) return
    for (const { uuid, isRead } of [...this.#doubts.values()]) if (!isRead) await this.#settle(uuid)
  }

  /** Updates memory from the disk and makes that state durable. After an error the doubt remains. */
  async #resolveDoubt(doubt: Doubt) {
    const { uuid, replaced, next } = doubt
    if (this.#doubts.get(uuid) !== doubt) return
    try {
      const isReplacing = this.#reload(uuid) === replaced
      if (replaced && isReplacing) this.#catalogue.delete(replaced)
      else if (replaced) this.#reload(replaced)
      if (next) this.#disownUnlessChild(next)
      doubt.isRead = true
      if (replaced && isReplacing) await this.#replaceOnDisk(uuid, replaced)
      else await this.#folders.sync(uuid)
    } catch {
      return
    }
    this.#doubts.delete(uuid)
    if (replaced) this.#doubts.delete(replaced)
  }

  /** Reloads an image from the disk. Returns the UUID of the image that it replaces, if its manifest names one. */
  #reload(uuid: string): string | undefined {
    const revision = (this.#catalogue.get(uuid)?.revision ?? 0) + 1
    const found = this.#folders.read(uuid)
    if (found) this.#catalogue.put({ ...found.versioned, revision })
    else this.#catalogue.delete(uuid)
    return found?.replaces
  }

  async #replaceOnDisk(uuid: string, replaced: string) {
    if (this.#folders.exists(replaced)) await this.#folders.remove(replaced)
    await this.#folders.write(this.getCached(uuid)!)
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
}

const inDoubt = (uuid: string) =>
  storageIsDown(
    `a change of image ${uuid} failed, and its result could not be read from the disk yet: try again later`,
  )
