import { createHash } from 'node:crypto'
import { lstatSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { isObject } from '../../images/rules.ts'
import type { MirrorRecord, MirrorStore } from '../../imports/mirror/record.ts'
import { CoalescedRuns } from '../../util/coalesced-runs.ts'
import { OperatorError } from '../../util/operator-error.ts'
import { type Document, readDocument, writeDocument } from './document.ts'
import { commit } from './durable.ts'
import { type Layout, mirrorPath, temporaryPath } from './layout.ts'

/** Bytes of the largest record: with a few lines per image, enough for a million images. */
const LARGEST_RECORD = 256 * 1024 * 1024

/** Stores the records of mirrors, one document per source. */
export class LocalMirrors implements MirrorStore {
  readonly #layout: Layout
  /** By source. */
  readonly #writes = new CoalescedRuns()
  /** Whether the folder of the records has been created durably. */
  #hasFolder = false

  constructor(layout: Layout) {
    this.#layout = layout
  }

  async load(source: string): Promise<MirrorRecord | undefined> {
    const path = this.#pathOf(source)
    // `lstat`, so that a broken link is an error and not an absent record.
    if (!lstatSync(path, { throwIfNoEntry: false })) return undefined
    try {
      const { images, removed, making, ...rest } = readDocument(
        path,
        LARGEST_RECORD,
      ) as unknown as MirrorRecord
      if (!isObject(images) || !Array.isArray(removed) || !Array.isArray(making)) {
        throw new Error('it is not the record of a mirror')
      }
      return { ...rest, images, removed, making }
    } catch (error) {
      // Without its record the mirror could not tell its own images from others.
      const why = (error as Error).message
      throw new OperatorError(`${path} cannot be read: ${why}; correct it, or remove it to start over`)
    }
  }

  async save(record: MirrorRecord) {
    await this.#writes.run(record.source, () => this.#write(record))
  }

  async #write(record: MirrorRecord) {
    const { mirrors, root } = this.#layout
    if (!this.#hasFolder) {
      await commit(root, async () => void (await mkdir(mirrors, { recursive: true })))
      this.#hasFolder = true
    }
    const document = { ...record } as unknown as Document
    const stage = () => temporaryPath(this.#layout)
    await writeDocument(this.#pathOf(record.source), stage, document, undefined, LARGEST_RECORD)
  }

  /** Returns the path for a source: its host, for human readers, and a digest of the URL. */
  #pathOf(source: string): string {
    const { host } = new URL(source)
    const digest = createHash('sha1').update(source).digest('hex').slice(0, 8)
    return mirrorPath(this.#layout, `${host.replace(/[^a-z0-9.-]+/g, '-')}-${digest}`)
  }
}
