import type { Stats } from 'node:fs'
import { lstat, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Logger } from 'pino'
import { fullMessage, ImgapiError } from '../../images/errors.ts'
import type { RemoteFile } from '../../images/fetched-file.ts'
import { FIELDS } from '../../images/fields.ts'
import { isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import { readManifest } from '../../images/intake.ts'
import { LARGEST_DOCUMENT } from '../../images/json.ts'
import { parseManifest } from '../../images/written-text.ts'
import { inWords } from '../../manifests/finding.ts'
import { lint } from '../../manifests/lint.ts'
import { irregularity, readRegular } from '../../util/regular-file.ts'
import { bytesOf, fingerprintOf, moveTogether, type Pair, pairUp } from './files.ts'
import { publishImage, type Source } from './publish.ts'

/**
 * Watches a folder into which operators copy images with any tool. Publishes and removes complete pairs of manifest
 * and file, moves invalid pairs to `failed/` with the reason beside them, and waits for incomplete ones.
 */

export interface DropFolderOptions {
  folder: string
  images: Images
  log: Logger
  /** The channel to which images are published. */
  channel: string | undefined
}

/** Milliseconds between two scans. Network file systems do not notify of changes, so the folder is polled. */
const SCAN_INTERVAL = 1000
/** Milliseconds without a change after which a file counts as completely written. */
const SETTLED = 3000

const FAILED = 'failed'

export class DropFolder {
  readonly #options: DropFolderOptions
  /** The fingerprint of each file, and since when it has not changed. */
  readonly #seen = new Map<string, { fingerprint: string; since: number }>()
  /** What was last logged for each name, so that it is logged once. */
  readonly #logged = new Map<string, string>()
  /** Pairs that were rejected, with their fingerprint: they fail only if they do not change until they settle. */
  readonly #rejected = new Map<string, { fingerprint: string; error: Error }>()
  #timer: NodeJS.Timeout | undefined
  #scanning: Promise<void> | undefined
  #isClosed = false
  #isFirstScan = true
  #problem: string | undefined

  constructor(options: DropFolderOptions) {
    this.#options = options
  }

  start() {
    this.#timer = setTimeout(() => {
      this.#scanning = this.#scan()
        .catch(error => this.#logOnce(error))
        .finally(() => {
          this.#isFirstScan = false
          if (!this.#isClosed) this.start()
        })
    }, SCAN_INTERVAL)
  }

  async close() {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#scanning
  }

  /** Logs a problem once, not at each scan. */
  #logOnce(error: unknown) {
    const { message } = error as Error
    if (message === this.#problem) return
    this.#problem = message
    this.#options.log.error({ err: error }, `drop folder: ${message}`)
  }

  async #scan() {
    const { folder } = this.#options
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    for (const name of [...this.#seen.keys(), ...this.#logged.keys()]) {
      if (!names.includes(name)) this.#forget(name)
    }
    const found = new Map<string, Stats>()
    for (const pair of pairUp(names)) {
      for (const name of [pair.manifest, ...pair.files]) {
        const stats = await lstat(join(folder, name)).catch(() => undefined)
        if (!stats) continue
        const problem = irregularity(stats)
        if (problem) {
          this.#ignore(name, problem)
          continue
        }
        found.set(name, stats)
        const fingerprint = fingerprintOf(stats)
        if (this.#seen.get(name)?.fingerprint !== fingerprint) {
          this.#seen.set(name, { fingerprint, since: performance.now() })
        }
      }
    }
    let problem: Error | undefined
    // Repeat until no pair is published: an image may wait for an origin that is published in the same scan.
    for (let isRepeated = true; isRepeated && !this.#isClosed; ) {
      isRepeated = false
      for (const pair of pairUp([...found.keys()])) {
        if (this.#isClosed) return
        const hasLeft = await this.#process(pair, found).catch(error => {
          problem = error as Error
          return false
        })
        if (!hasLeft) continue
        for (const name of [pair.manifest, ...pair.files]) found.delete(name)
        isRepeated = true
      }
    }
    if (problem) throw problem
    this.#problem = undefined
  }

  /** Publishes or rejects a pair, or waits for it. Returns whether the pair has left the folder. */
  async #process(pair: Pair, found: ReadonlyMap<string, Stats>): Promise<boolean> {
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
      if (this.#isFirstScan && (await this.#isPublished(manifest, file)))
        return this.#removeFile(pair.manifest)
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
    const fingerprint = `${this.#seen.get(name)?.fingerprint} ${this.#seen.get(pair.manifest)?.fingerprint}`
    const rejected = this.#rejected.get(pair.manifest)
    if (rejected?.fingerprint === fingerprint) return isSettled && this.#fail(pair, rejected.error)
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
  async #read({ manifest }: Pair): Promise<Record<string, unknown> | Error> {
    try {
      return readManifest(parseManifest(await this.#readText(manifest)))
    } catch (error) {
      if (error instanceof ImgapiError) return error
      // An error of the file system says nothing about the manifest.
      if ('code' in (error as Error)) throw error
      return new Error(`the manifest ${(error as Error).message}`)
    }
  }

  /** Throws JsonError if the manifest is too long. */
  async #readText(manifest: string): Promise<string> {
    const bytes = await readRegular(join(this.#options.folder, manifest), LARGEST_DOCUMENT)
    return bytes.toString()
  }

  async #publish(pair: Pair, name: string, source: Omit<Source, 'channel' | 'open'>, fingerprint: string) {
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
      this.#rejected.set(pair.manifest, { fingerprint, error: error as Error })
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
    if (stats && fingerprintOf(stats) === this.#seen.get(name)?.fingerprint) await rm(path, { force: true })
    this.#forget(name)
    return true
  }

  /** Logs once what an incomplete pair waits for. Returns false for chaining. */
  #wait({ manifest }: Pair, what: string): false {
    const kind = what.replace(/\d+ of/, '')
    if (this.#logged.get(manifest) !== kind && this.#isSettled(manifest)) {
      this.#logged.set(manifest, kind)
      this.#options.log.info(`drop folder: ${manifest} ${what}`)
    }
    return false
  }

  /** Logs once that a file is ignored. */
  #ignore(name: string, problem: string) {
    if (this.#logged.get(name) === problem) return
    this.#logged.set(name, problem)
    this.#options.log.warn(`drop folder: ${name} is left where it is: it ${problem}`)
  }

  /** Moves a pair to `failed/`, with the reason beside it. Returns true for chaining. */
  async #fail({ manifest, files }: Pair, error: Error): Promise<true> {
    const { folder, log } = this.#options
    const aside = join(folder, FAILED)
    await mkdir(aside, { recursive: true })
    if ((await lstat(aside)).isSymbolicLink()) throw new Error(`${aside} is a symbolic link: remove it`)
    const lines = [fullMessage(error), ...(await this.#advice(manifest))]
    // Remove an existing entry first: a link of that name could lead to any file.
    await rm(join(aside, `${manifest}.error`), { force: true })
    await writeFile(join(aside, `${manifest}.error`), `${lines.join('\n')}\n`, { flag: 'wx' })
    const names = [...files, manifest]
    await moveTogether(folder, aside, names)
    for (const name of names) this.#forget(name)
    log.error(`drop folder: ${manifest}: ${lines.join('; ')}; moved to ${aside}`)
    return true
  }

  /** Returns the findings of the linter for a manifest: how to correct errors, and possible improvements. */
  async #advice(manifest: string): Promise<string[]> {
    try {
      return lint(await this.#readText(manifest)).findings.map(inWords)
    } catch {
      // The manifest is too long or too deep, which the error already says.
      return []
    }
  }

  #isSettled(name: string): boolean {
    const seen = this.#seen.get(name)
    return seen !== undefined && performance.now() - seen.since >= SETTLED
  }

  #forget(name: string) {
    this.#seen.delete(name)
    this.#logged.delete(name)
    this.#rejected.delete(name)
  }
}
