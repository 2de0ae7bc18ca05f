import { rename, rm } from 'node:fs/promises'
import { imageNotFound } from '../../images/errors.ts'
import type { StoredFile } from '../../images/image.ts'
import type { FileKind, ReceivedFile } from '../../images/ports.ts'
import { UncertainChange } from '../uncertain-change.ts'
import { commit } from './durable.ts'
import { filePath, folderOf, freshName, type Layout, stagedPath } from './layout.ts'
import type { Received } from './receive.ts'

interface Surroundings {
  layout: Layout
  scheduleMd5(uuid: string, file: StoredFile): void
  isNamed(uuid: string, name: string): boolean
}

/** A received file at a temporary or partial path, until it is attached or staged. */
export class LocalReceivedFile implements ReceivedFile {
  readonly size: number
  readonly sha1: string
  readonly md5: string | undefined
  readonly #surroundings: Surroundings
  readonly #path: string
  /** Where the file is, or may be after a failed `attach`. */
  #attached: { uuid: string; name: string } | undefined
  /** Where the file is, or may be after a failed `stage`; the insert of its image moves it from there. */
  #staged: string | undefined

  constructor(path: string, { size, sha1, md5 }: Received, surroundings: Surroundings) {
    this.#path = path
    this.size = size
    this.sha1 = sha1
    this.md5 = md5
    this.#surroundings = surroundings
  }

  async attach(uuid: string, kind: FileKind, extension: string): Promise<StoredFile> {
    const { layout } = this.#surroundings
    const name = freshName(kind, extension)
    this.#attached = { uuid, name }
    await commit(folderOf(layout, uuid), () => rename(this.#path, filePath(layout, uuid, name))).catch(
      error => {
        // No manifest names the file yet, so the image is unchanged even if the rename happened.
        const failure = error instanceof UncertainChange ? error.cause : error
        throw (failure as NodeJS.ErrnoException).code === 'ENOENT' ? imageNotFound(uuid) : failure
      },
    )
    return this.#stored(uuid, name)
  }

  async stage(uuid: string, kind: FileKind, extension: string): Promise<StoredFile> {
    const name = freshName(kind, extension)
    this.#staged = stagedPath(this.#surroundings.layout, uuid, name)
    await rename(this.#path, this.#staged)
    return this.#stored(uuid, name)
  }

  #stored(uuid: string, name: string): StoredFile {
    const { size, sha1, md5 } = this
    const file: StoredFile = { name, size, sha1, md5, mtime: new Date().toISOString() }
    if (!md5) this.#surroundings.scheduleMd5(uuid, file)
    return file
  }

  async discard() {
    const { layout, isNamed } = this.#surroundings
    const paths = [this.#path]
    if (this.#staged) paths.push(this.#staged)
    if (this.#attached) {
      const { uuid, name } = this.#attached
      if (isNamed(uuid, name)) return
      paths.push(filePath(layout, uuid, name))
    }
    for (const path of paths) await rm(path, { force: true }).catch(() => {})
  }
}
