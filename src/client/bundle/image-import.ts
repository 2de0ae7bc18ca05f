import { type Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ImgapiClient } from '../client.ts'
import { differences } from '../publish/same-image.ts'
import type { RemoteImage } from '../types.ts'
import { BundleError } from './bundle-error.ts'
import { type BundledFile, filesOf } from './contents.ts'
import { verifier } from './verify.ts'

/** What an import did: created the image, completed an unfinished one, or only verified the bundle. */
export type ImportOutcome = 'imported' | 'completed' | 'already there'

export interface ImportHooks {
  signal: AbortSignal
  /** Reports how many bytes of a file have been read, and whether they are uploaded or only verified. */
  onProgress(file: BundledFile, bytes: number, isSent: boolean): void
  onDone(file: BundledFile): void
}

/** Imports one image of a bundle: start, addFile for each of its files, finish. */
export class ImageImport {
  readonly image: RemoteImage
  readonly #client: ImgapiClient
  readonly #hooks: ImportHooks
  readonly #count: number
  /** The image as the server had it before the import. */
  readonly #before: RemoteImage | undefined
  #filesDone = 0

  private constructor(
    client: ImgapiClient,
    image: RemoteImage,
    before: RemoteImage | undefined,
    hooks: ImportHooks,
  ) {
    this.#client = client
    this.image = image
    this.#count = filesOf(image).length
    this.#before = before
    this.#hooks = hooks
  }

  /**
   * Creates the image on the server, unless it exists. Throws BundleError if the server has another image of this
   * UUID, and ClientError.
   */
  static async start(client: ImgapiClient, image: RemoteImage, hooks: ImportHooks): Promise<ImageImport> {
    const { uuid } = image
    const before = await client.findImage(uuid)
    const result = new ImageImport(client, image, before, hooks)
    const hasFiles = filesOf(image).every(({ sha1 }, index) => result.#has(index, sha1))
    if (before && isActivated(before) && !hasFiles) {
      throw new BundleError(`image ${uuid} exists on the server with another file than in the bundle`)
    }
    const different = before && !isActivated(before) ? differences(image, before) : []
    if (different.length > 0) {
      const fields = different.join(', ')
      throw new BundleError(`an unfinished image ${uuid} exists on the server and differs in ${fields}`)
    }
    if (!before) await client.importImage(uuid, image)
    return result
  }

  get isComplete() {
    return this.#filesDone === this.#count
  }

  /** Verifies a file, and uploads it unless the server has it. Throws BundleError if it is damaged, and ClientError. */
  async addFile(file: BundledFile, content: Readable, size: number | undefined) {
    const { name, uuid, index, sha1, compression, dataset_guid } = file
    const isStored = this.#has(index, sha1)
    let damage: Error | undefined
    const fail = (problem: string) => {
      damage = new BundleError(`the bundle is damaged: ${name} ${problem}`)
      return damage
    }
    const onBytes = (bytes: number) => this.#hooks.onProgress(file, bytes, !isStored)
    const check = verifier(file, { fail, onBytes })
    try {
      if (size !== file.size) throw fail(`has ${size} bytes, not ${file.size}`)
      const verified = pipeline(content, check, { signal: this.#hooks.signal })
      verified.catch(() => {})
      const query = {
        size: file.size,
        sha1,
        compression,
        dataset_guid,
        index: index === 0 ? undefined : String(index),
      }
      const uploaded = isStored ? pipeline(check, discard()) : this.#client.addFile(uuid, check, query)
      await Promise.all([uploaded, verified])
    } catch (error) {
      // An interrupted upload can be resumed later; a damaged one never succeeds, so its image is deleted.
      if (damage && !this.#before) await this.#client.deleteImage(uuid).catch(() => {})
      throw damage ?? error
    }
    this.#filesDone++
    this.#hooks.onDone(file)
  }

  /** Activates the image, unless it is active. Throws ClientError. */
  async finish(): Promise<ImportOutcome> {
    if (this.#before && isActivated(this.#before)) return 'already there'
    await this.#client.act(this.image.uuid, 'activate')
    return this.#before ? 'completed' : 'imported'
  }

  #has(index: number, sha1: string): boolean {
    return this.#before?.files?.[index]?.sha1 === sha1
  }
}

const isActivated = ({ state }: RemoteImage) => state === 'active' || state === 'disabled'

const discard = () => new Writable({ write: (_chunk, _encoding, done) => done() })
