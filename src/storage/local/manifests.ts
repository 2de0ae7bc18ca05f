import { alreadyExists } from '../../images/already-exists.ts'
import { originDoesNotExist, storageIsDown } from '../../images/errors.ts'
import type { Image } from '../../images/image.ts'
import type { ListQuery, ListSlice } from '../../images/listing.ts'
import { ownAncestor } from '../../images/origins.ts'
import type { Manifests, Versioned } from '../../images/ports.ts'
import { hasDependents } from '../../images/remove.ts'
import { KeyedMutex } from '../../util/keyed-mutex.ts'
import { Catalogue } from '../catalogue.ts'
import { Doubts, inDoubt } from './doubts.ts'
import { ImageFolders } from './image-folders.ts'
import type { Layout } from './layout.ts'
import type { Loaded } from './load.ts'

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
  readonly #doubts: Doubts

  constructor(layout: Layout, loaded: Loaded) {
    this.#folders = new ImageFolders(layout)
    this.#catalogue = new Catalogue(loaded.images)
    this.#unreadable = loaded.unreadable
    this.#doubts = new Doubts(this.#catalogue, this.#folders, this.#mutex)
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
    if (this.#doubts.isUnread(uuid)) return true
    const image = this.getCached(uuid)
    return image?.icon?.name === name || (image?.files.some(file => file.name === name) ?? false)
  }

  /** Waits for an insert or removal of the image that is under way. Throws StorageIsDown. */
  async find(uuid: string): Promise<Versioned | undefined> {
    if (this.#changing.has(uuid)) await this.#mutex.idle(uuid)
    if (this.#doubts.has(uuid)) await this.#doubts.requireRead(uuid)
    const reason = this.#unreadable.get(uuid)
    if (reason) throw storageIsDown(reason)
    return this.#catalogue.get(uuid)
  }

  async list(query: ListQuery): Promise<readonly ListSlice[]> {
    await this.#doubts.readAll()
    return this.#catalogue.list(query)
  }

  async listChildren(uuid: string): Promise<readonly Image[]> {
    await this.#doubts.readAll()
    return this.#catalogue.children(uuid)
  }

  async insert(image: Image, replaces?: Versioned): Promise<boolean> {
    // Without a doubt there must be no await before `#add` reserves the UUID.
    if (!this.#doubts.isEmpty) await this.#doubts.requireSettled(image.uuid, replaces?.image.uuid)
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
    if (!this.#doubts.isEmpty) await this.#doubts.requireSettled(uuid)
    return this.#mutex.run(uuid, async () => {
      const current = this.#catalogue.get(uuid)
      if (current?.revision !== revision) return false
      const write = () => this.#doubts.attempt({ uuid, next, isRead: false }, () => this.#folders.write(next))
      await (next.origin === current.image.origin ? write() : this.#withOrigin(next, write))
      const damage = next.files === current.image.files ? current.damage : undefined
      this.#catalogue.put({ image: next, revision: revision + 1, damage })
      return true
    })
  }

  async remove(uuid: string, revision: number): Promise<boolean> {
    if (!this.#doubts.isEmpty) await this.#doubts.requireSettled(uuid)
    return this.#mutex.run(uuid, async () => {
      if (this.#catalogue.get(uuid)?.revision !== revision) return false
      this.#requireNoChildren(uuid)
      return this.#whileChanging(uuid, async () => {
        await this.#doubts.attempt({ uuid, isRead: false }, () => this.#folders.remove(uuid))
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
    await this.#doubts.resolve({ uuid, replaced, isRead: false })
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
      const write = () => this.#doubts.attempt(doubt, () => this.#folders.add(image, replaced))
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
    if (origin !== undefined && this.#doubts.isUnread(origin)) throw inDoubt(origin)
    if (origin !== undefined && this.#catalogue.isBelow(origin, image.uuid)) throw ownAncestor()
    this.#catalogue.adoptChild(image)
    try {
      await write()
    } catch (error) {
      if (!this.#doubts.isUnread(image.uuid)) this.#doubts.disownUnlessChild(image)
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
}
