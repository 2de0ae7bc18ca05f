import { storageIsDown } from '../../images/errors.ts'
import type { Image } from '../../images/image.ts'
import type { KeyedMutex } from '../../util/keyed-mutex.ts'
import type { Catalogue } from '../catalogue.ts'
import { UncertainChange } from '../uncertain-change.ts'
import type { ImageFolders } from './image-folders.ts'

/** An image whose state in memory may differ from the disk, because a change failed after it had begun. */
export interface Doubt {
  uuid: string
  /** The image that it was to replace. */
  replaced?: string | undefined
  /** The intended next state: until the disk is read, the image counts as a child of its origin. */
  next?: Image
  /** Whether memory shows what the disk has since the failure; then only the sync is missing. */
  isRead: boolean
}

/** The images in doubt. They are read from the disk again before the next answer about them or change of them. */
export class Doubts {
  readonly #catalogue: Catalogue
  readonly #folders: ImageFolders
  /** Serialises changes of one image. */
  readonly #mutex: KeyedMutex
  /** By UUID, of the new and of the replaced image. */
  readonly #doubts = new Map<string, Doubt>()

  constructor(catalogue: Catalogue, folders: ImageFolders, mutex: KeyedMutex) {
    this.#catalogue = catalogue
    this.#folders = folders
    this.#mutex = mutex
  }

  get isEmpty() {
    return this.#doubts.size === 0
  }

  has(uuid: string) {
    return this.#doubts.has(uuid)
  }

  /** Returns whether memory may show something else than the disk. */
  isUnread(uuid: string): boolean {
    return this.#doubts.get(uuid)?.isRead === false
  }

  /** Removes the image from its origin's children, unless the stored image has that origin. */
  disownUnlessChild(image: Image) {
    if (this.#catalogue.get(image.uuid)?.image.origin !== image.origin) this.#catalogue.disownChild(image)
  }

  /** Runs a change. If it fails and may have happened all the same, reads the disk again before it throws the error. */
  async attempt(doubt: Doubt, change: () => Promise<void>) {
    try {
      await change()
    } catch (error) {
      if (error instanceof UncertainChange) await this.resolve(doubt)
      throw error
    }
  }

  /** Adds a doubt and tries to resolve it. Must not be called while another change of the image runs. */
  async resolve(doubt: Doubt) {
    this.#doubts.set(doubt.uuid, doubt)
    if (doubt.replaced) this.#doubts.set(doubt.replaced, doubt)
    await this.#resolve(doubt)
  }

  /** Tries to resolve the doubt about an image. Returns the doubt that remains. */
  async #settle(uuid: string): Promise<Doubt | undefined> {
    const doubt = this.#doubts.get(uuid)
    if (doubt) await this.#mutex.run(doubt.uuid, () => this.#resolve(doubt))
    return this.#doubts.get(uuid)
  }

  /** Must run before a change of these images. Throws StorageIsDown if one of them is still in doubt. */
  async requireSettled(...uuids: (string | undefined)[]) {
    await this.readAll()
    for (const uuid of uuids) if (uuid && (await this.#settle(uuid))) throw inDoubt(uuid)
  }

  /** Throws StorageIsDown if the image is in doubt and cannot be read now. */
  async requireRead(uuid: string) {
    if ((await this.#settle(uuid))?.isRead === false) throw inDoubt(uuid)
  }

  /** Must run before an answer about all images: reads again what could not be read after a failure. */
  async readAll() {
    if (this.#doubts.size === 0) return
    for (const { uuid, isRead } of [...this.#doubts.values()]) if (!isRead) await this.#settle(uuid)
  }

  /** Updates memory from the disk and makes that state durable. After an error the doubt remains. */
  async #resolve(doubt: Doubt) {
    const { uuid, replaced, next } = doubt
    if (this.#doubts.get(uuid) !== doubt) return
    try {
      const isReplacing = this.#reload(uuid) === replaced
      if (replaced && isReplacing) this.#catalogue.delete(replaced)
      else if (replaced) this.#reload(replaced)
      if (next) this.disownUnlessChild(next)
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
    await this.#folders.write(this.#catalogue.get(uuid)!.image)
  }
}

/** Returns the error for an image in doubt. */
export const inDoubt = (uuid: string) =>
  storageIsDown(
    `a change of image ${uuid} failed, and its result could not be read from the disk yet: try again later`,
  )
