import { alreadyExists } from '../../images/already-exists.ts'
import { ImgapiError, storageIsDown } from '../../images/errors.ts'
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

/** An image of which memory and disk may differ, since a change failed after it had begun. */
interface Doubt {
  uuid: string
  /** The image whose place it was to take. */
  replaced?: string | undefined
  /** What it was to become: until the disk is read, it counts as a child of that origin. */
  next?: Image
  /** Whether memory has what the disk showed after the failure; what is missing is that it lasts. */
  isRead: boolean
}

/**
 * Manifests as one lowdb document an image, all of them kept in memory. A change is one durable write of one
 * document, however many images there are. What was decided in memory holds while it is being written:
 * a UUID is taken and an origin has a child from the moment that an insert begins.
 */
export class LocalManifests implements Manifests {
  readonly #folders: ImageFolders
  readonly #catalogue: Catalogue
  readonly #unreadable: Map<string, string>
  /** UUIDs that are being added or removed. */
  readonly #changing = new Set<string>()
  /** Runs changes of one image one after the other; different images do not wait for each other. */
  readonly #mutex = new KeyedMutex()
  /** By the UUID of each image that they are about. */
  readonly #doubts = new Map<string, Doubt>()

  constructor(layout: Layout, loaded: Loaded) {
    this.#folders = new ImageFolders(layout)
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

  /** Whether a manifest names that file, or may name it. */
  names(uuid: string, name: string): boolean {
    if (this.#doubts.get(uuid)?.isRead === false) return true
    const image = this.peek(uuid)
    return image?.icon?.name === name || (image?.files.some(file => file.name === name) ?? false)
  }

  /** Of an image that is being added or removed, what it is when that is over. */
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
    // Without a doubt there is no wait: the UUID is taken at once.
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
   * After a change of UUID, or a crash in one: the new folder is there and says whose place it takes. The old one
   * goes, and then the remark, which must not outlive it. What fails is tried again before the next change of either.
   */
  async finishReplacement(uuid: string, replaced: string) {
    await this.#clear(this.#raise({ uuid, replaced, isRead: false }))
  }

  async #add(image: Image, replaced?: string): Promise<boolean> {
    const { uuid } = image
    const taken = this.#catalogue.get(uuid)
    if (taken || this.#unreadable.has(uuid) || this.#changing.has(uuid)) {
      throw alreadyExists(uuid, taken?.image)
    }
    // In turn: a change of an image that can be seen already waits until it is in place.
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
   * Writes an image that gets an origin, which cannot be removed from now on. Until the write is over the image
   * counts as a child of the origin that it has and of the one that it gets, so of two writes that would make a
   * circle together the second is refused. Throws OriginDoesNotExist, or ValidationFailed for such a circle.
   */
  async #withOrigin(image: Image, write: () => Promise<void>) {
    const { origin } = image
    if (origin !== undefined && (!this.#catalogue.get(origin) || this.#changing.has(origin))) {
      throw new ImgapiError('OriginDoesNotExist', `origin image "${origin}" does not exist`)
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

  /** It has that origin if the disk says so. */
  #disownUnlessChild(image: Image) {
    if (this.peek(image.uuid)?.origin !== image.origin) this.#catalogue.disownChild(image)
  }

  /** Makes a change. If it may have happened although it failed, the disk is read again before the error is thrown. */
  async #attempt(doubt: Doubt, change: () => Promise<void>) {
    try {
      await change()
    } catch (error) {
      if (error instanceof UncertainChange) await this.#clear(this.#raise(doubt))
      throw error
    }
  }

  #raise(doubt: Doubt): Doubt {
    this.#doubts.set(doubt.uuid, doubt)
    if (doubt.replaced) this.#doubts.set(doubt.replaced, doubt)
    return doubt
  }

  /** Resolves to the doubt that is left about an image. */
  async #settle(uuid: string): Promise<Doubt | undefined> {
    const doubt = this.#doubts.get(uuid)
    if (doubt) await this.#mutex.run(doubt.uuid, () => this.#clear(doubt))
    return this.#doubts.get(uuid)
  }

  /** Before a change of these images. What it needs of others, such as children, is read from the disk by then. */
  async #requireSettled(...uuids: (string | undefined)[]) {
    await this.#readDoubtful()
    for (const uuid of uuids) if (uuid && (await this.#settle(uuid))) throw inDoubt(uuid)
  }

  /** Before anything is said of all images: what could not be read after a failure is read now. */
  async #readDoubtful() {
    if (this.#doubts.size === 0) return
    for (const { uuid, isRead } of [...this.#doubts.values()]) if (!isRead) await this.#settle(uuid)
  }

  /** Shows in memory what is on the disk, and makes it last. After an error the doubt stays. */
  async #clear(doubt: Doubt) {
    const { uuid, replaced, next } = doubt
    if (this.#doubts.get(uuid) !== doubt) return
    try {
      const isReplacing = this.#show(uuid) === replaced
      if (replaced && isReplacing) this.#catalogue.delete(replaced)
      else if (replaced) this.#show(replaced)
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

  /** Takes over what is on the disk. Returns the UUID of the image whose place that one takes. */
  #show(uuid: string): string | undefined {
    const revision = (this.#catalogue.get(uuid)?.revision ?? 0) + 1
    const found = this.#folders.read(uuid)
    if (found) this.#catalogue.put({ ...found.versioned, revision })
    else this.#catalogue.delete(uuid)
    return found?.replaces
  }

  async #replaceOnDisk(uuid: string, replaced: string) {
    if (this.#folders.isThere(replaced)) await this.#folders.remove(replaced)
    await this.#folders.write(this.peek(uuid)!)
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
    `a change of image ${uuid} failed and the disk does not say yet what came of it: ask again later`,
  )
