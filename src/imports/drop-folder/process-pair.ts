import type { Stats } from 'node:fs'
import { lstat, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Logger } from 'pino'
import { ImgapiError } from '../../images/errors.ts'
import type { RemoteFile } from '../../images/fetched-file.ts'
import { FIELDS } from '../../images/fields.ts'
import { isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import { readManifest } from '../../images/intake.ts'
import { parseManifest } from '../../images/written-text.ts'
import type { NamedPair } from '../../util/manifest-pairs.ts'
import type { FileStates } from './file-states.ts'
import { bytesOf, fingerprintOf, readManifestText } from './files.ts'
import { publishImage, type Source } from './publish.ts'
import { setAside } from './set-aside.ts'

export interface DropFolderOptions {
  folder: string
  images: Images
  log: Logger
  /** The channel to which images are published. */
  channel: string | undefined
}

/** Decides what to do with a pair of manifest and image file, and does it: publish it, set it aside, or wait. */
export class PairProcessor {
  readonly #options: DropFolderOptions
  readonly #states: FileStates

  constructor(options: DropFolderOptions, states: FileStates) {
    this.#options = options
    this.#states = states
  }

  /**
   * Publishes or rejects a pair, or waits for it. `found` are the files of this scan. Returns whether the pair has left
   * the folder. Throws errors that say nothing about the pair: it is processed again at the next scan.
   */
  async process(
    pair: NamedPair,
    found: ReadonlyMap<string, Stats>,
    { isFirstScan }: { isFirstScan: boolean },
  ): Promise<boolean> {
    const manifest = await this.#read(pair)
    if (manifest instanceof Error) {
      return pair.files.length > 0 && this.#isSettled(pair.manifest) && this.#fail(pair, manifest)
    }
    const declared = Array.isArray(manifest.files) ? manifest.files[0] : undefined
    const result = FIELDS.files.rule.safeParse(declared === undefined ? [] : [declared])
    const [file] = result.success ? result.data : []
    const name =
      pair.files.length === 1 ? pair.files[0]! : pair.files.find(each => found.get(each)?.size === file?.size)
    if (name === undefined) {
      if (isFirstScan && (await this.#isPublished(manifest, file))) return this.#removeFile(pair.manifest)
      return this.#wait(pair, 'waits for its file')
    }
    if (!result.success)
      return this.#isSettled(pair.manifest) && this.#fail(pair, new Error('the manifest has invalid "files"'))
    const size = found.get(name)!.size
    const isSettled = this.#isSettled(name) && this.#isSettled(pair.manifest)
    if (!file && !isSettled) return false
    if (file && size < file.size)
      return this.#wait(pair, `waits for the rest of ${name}, ${size} of ${file.size} bytes`)
    if (file && size > file.size) {
      return isSettled && this.#fail(pair, new Error(`${name} has ${size} bytes, not ${file.size}`))
    }
    const { origin } = manifest
    if (typeof origin === 'string' && !(await this.#options.images.manifests.find(origin))) {
      return this.#wait(pair, `waits for its origin ${origin}`)
    }
    const fingerprint = this.#states.fingerprint(name, pair.manifest)
    const rejection = this.#states.rejectionOf(pair.manifest, fingerprint)
    if (rejection) return isSettled && this.#fail(pair, rejection)
    return this.#publish(pair, name, { manifest, file }, fingerprint)
  }

  /**
   * Returns whether the image of a manifest without a file exists already. At the first scan such a manifest was left by
   * a crash between the publishing and the removal.
   */
  async #isPublished({ uuid }: Record<string, unknown>, file: RemoteFile | undefined): Promise<boolean> {
    if (typeof uuid !== 'string') return false
    const here = (await this.#options.images.manifests.find(uuid))?.image
    return here !== undefined && isActivated(here) && (!file || here.files[0]?.sha1 === file.sha1)
  }

  /**
   * Returns the manifest, or an error if it is invalid: it may still be being written. Throws errors of the
   * system.
   */
  async #read({ manifest }: NamedPair): Promise<Record<string, unknown> | Error> {
    try {
      return readManifest(parseManifest(await readManifestText(this.#options.folder, manifest)))
    } catch (error) {
      if (error instanceof ImgapiError) return error
      // An error of the file system says nothing about the manifest.
      if ('code' in (error as Error)) throw error
      return new Error(`the manifest ${(error as Error).message}`)
    }
  }

  async #publish(
    pair: NamedPair,
    name: string,
    source: Omit<Source, 'channel' | 'open'>,
    fingerprint: string,
  ) {
    const { folder, images, log, channel } = this.#options
    const stream = Readable.from(bytesOf(join(folder, name)), { objectMode: false })
    try {
      const open = async () => stream
      const { image, wasHere } = await publishImage(images, { ...source, channel, open })
      for (const each of [name, pair.manifest]) await this.#removeFile(each)
      const what = `${image.uuid} (${image.name} ${image.version})`
      const outcome = wasHere ? `${what} was here already` : `published ${what}`
      log.info({ image: image.uuid, file: name }, `drop folder: ${outcome}`)
      return true
    } catch (error) {
      // A full disk or a concurrent upload says nothing about the image: retry at the next scan.
      const isInvalid = error instanceof ImgapiError && error.status < 500 && error.status !== 409
      const isTaken = error instanceof ImgapiError && error.code === 'ImageUuidAlreadyExists'
      if (!isInvalid && !isTaken) throw error
      this.#states.reject(pair.manifest, fingerprint, error)
      return false
    } finally {
      // If publishing fails before the end, the file is still open.
      stream.destroy()
    }
  }

  /** Removes the file unless it changed since the last scan. Returns true for chaining. */
  async #removeFile(name: string): Promise<true> {
    const path = join(this.#options.folder, name)
    const stats = await lstat(path).catch(() => undefined)
    if (stats && fingerprintOf(stats) === this.#states.fingerprint(name)) await rm(path, { force: true })
    this.#states.forget(name)
    return true
  }

  /** Logs once what an incomplete pair waits for. Returns false for chaining. */
  #wait({ manifest }: NamedPair, what: string): false {
    const kind = what.replace(/\d+ of/, '')
    if (this.#isSettled(manifest) && this.#states.isNew(manifest, kind)) {
      this.#options.log.info(`drop folder: ${manifest} ${what}`)
    }
    return false
  }

  /** Sets a pair aside. Returns true for chaining. */
  async #fail({ manifest, files }: NamedPair, error: Error): Promise<true> {
    const { folder, log } = this.#options
    const { lines, aside } = await setAside(folder, manifest, files, error)
    for (const name of [...files, manifest]) this.#states.forget(name)
    log.error(`drop folder: ${manifest}: ${lines.join('; ')}; moved to ${aside}`)
    return true
  }

  #isSettled(name: string): boolean {
    return this.#states.isSettled(name)
  }
}
