import { type Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ImgapiClient } from '../client.ts'
import { differences } from '../publish/same-image.ts'
import type { RemoteImage } from '../types.ts'
import { BundleError } from './bundle-error.ts'
import { type BundledFile, filesOf } from './contents.ts'
import { verifier } from './verify.ts'

export type Imported = 'imported' | 'completed' | 'already there'

export interface ImportHooks {
  signal: AbortSignal
  /** SourceFileInfo how many bytes of a file have been read, and whether they go to the server. */
  onProgress(file: BundledFile, bytes: number, isSent: boolean): void
  onDone(file: BundledFile): void
}

/** One image on its way from a bundle to a server. */
export class ImageImport {
  readonly image: RemoteImage
  readonly #client: ImgapiClient
  readonly #hooks: ImportHooks
  readonly #count: number
  /** What the server had of it before. */
  readonly #before: RemoteImage | undefined
  #taken = 0

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

  /** Has the image on the server, at least unactivated and without its file. Throws BundleError. */
  static async begin(client: ImgapiClient, image: RemoteImage, hooks: ImportHooks): Promise<ImageImport> {
    const { uuid } = image
    const before = await client.findImage(uuid)
    const started = new ImageImport(client, image, before, hooks)
    const hasFiles = filesOf(image).every(({ sha1 }, index) => started.#has(index, sha1))
    if (before && isActivated(before) && !hasFiles) {
      throw new BundleError(`image ${uuid} is on the server with another file than in the bundle`)
    }
    const different = before && !isActivated(before) ? differences(image, before) : []
    if (different.length > 0) {
      const fields = different.join(', ')
      throw new BundleError(`an unfinished image ${uuid} is on the server, and differs in ${fields}`)
    }
    if (!before) await client.importImage(uuid, image)
    return started
  }

  get isComplete() {
    return this.#taken === this.#count
  }

  /** Uploads a file, if the server does not have it, and checks it in any case. */
  async take(file: BundledFile, content: Readable, size: number | undefined) {
    const { name, uuid, index, sha1, compression, dataset_guid } = file
    const isThere = this.#has(index, sha1)
    let damage: Error | undefined
    const fail = (problem: string) => {
      damage = new BundleError(`the bundle is damaged: ${name} ${problem}`)
      return damage
    }
    const onBytes = (bytes: number) => this.#hooks.onProgress(file, bytes, !isThere)
    const check = verifier(file, { fail, onBytes })
    try {
      if (size !== file.size) throw fail(`has ${size} bytes, not ${file.size}`)
      const passing = pipeline(content, check, { signal: this.#hooks.signal })
      passing.catch(() => {})
      const query = {
        size: file.size,
        sha1,
        compression,
        dataset_guid,
        index: index === 0 ? undefined : String(index),
      }
      const taking = isThere ? pipeline(check, nowhere()) : this.#client.addFile(uuid, check, query)
      await Promise.all([taking, passing])
    } catch (error) {
      // What is only interrupted can go on; nothing good comes of what is damaged.
      if (damage && !this.#before) await this.#client.deleteImage(uuid).catch(() => {})
      throw damage ?? error
    }
    this.#taken++
    this.#hooks.onDone(file)
  }

  async finish(): Promise<Imported> {
    if (this.#before && isActivated(this.#before)) return 'already there'
    await this.#client.act(this.image.uuid, 'activate')
    return this.#before ? 'completed' : 'imported'
  }

  #has(index: number, sha1: string): boolean {
    return this.#before?.files?.[index]?.sha1 === sha1
  }
}

const isActivated = ({ state }: RemoteImage) => state === 'active' || state === 'disabled'

const nowhere = () => new Writable({ write: (_chunk, _encoding, done) => done() })
