import type { Stats } from 'node:fs'
import { lstat, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Logger } from 'pino'
import { inWords } from '../../client/publish/finding.ts'
import { lint } from '../../client/publish/lint.ts'
import { isImageFileName, isManifestName, stemOf } from '../../client/publish/pairs.ts'
import { fullMessage, ImgapiError } from '../../images/errors.ts'
import type { RemoteFile } from '../../images/fetched-file.ts'
import { FIELDS } from '../../images/fields.ts'
import { isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import { readManifest } from '../../images/intake.ts'
import { LARGEST_DOCUMENT } from '../../images/json.ts'
import { parseManifest } from '../../images/written-text.ts'
import { irregularity, openRegular, readRegular } from '../../util/regular-file.ts'
import { publishImage, type Source } from './publish.ts'

/**
 * A folder into which people copy images, with whatever they copy with. What is complete is published and taken
 * out; what is wrong is moved to `failed/`, with the reason beside it; what is not complete is waited for.
 */

export interface DropFolderOptions {
  folder: string
  images: Images
  log: Logger
  /** The channel that images go into. */
  channel: string | undefined
}

/** Milliseconds between two looks. File systems of other machines do not tell of changes. */
const INTERVAL = 1000
/** Milliseconds without a change after which nobody is writing any more. */
const SETTLED = 3000

const FAILED = 'failed'

interface Pair {
  manifest: string
  /** Those that its file may have; the manifest tells which, if there are several. */
  files: string[]
}

/** Every manifest, with what is there for it. Names that begin with a dot are those of copies under way. */
function pairUp(names: readonly string[]): Pair[] {
  const visible = names.filter(name => !name.startsWith('.')).sort()
  const files = visible.filter(isImageFileName)
  return visible
    .filter(isManifestName)
    .map(manifest => ({ manifest, files: files.filter(name => stemOf(name) === stemOf(manifest)) }))
}

/** One without the other would be waited for in vain: after an error all of them are where they were. */
async function moveTogether(from: string, to: string, names: readonly string[]) {
  const moved: string[] = []
  try {
    for (const name of names) {
      await rename(join(from, name), join(to, name))
      moved.push(name)
    }
  } catch (error) {
    for (const name of moved) await rename(join(to, name), join(from, name)).catch(() => {})
    throw error
  }
}

const lookOf = ({ size, mtimeMs, ino }: Stats) => `${size} ${mtimeMs} ${ino}`

/** The bytes that a file has now. Ends in an error if it changes meanwhile: it is not complete then. */
async function* bytesOf(path: string): AsyncGenerator<Buffer> {
  const { handle, stats } = await openRegular(path)
  try {
    yield* handle.createReadStream({ start: 0, end: Math.max(0, stats.size - 1), autoClose: false })
    if (lookOf(await handle.stat()) !== lookOf(stats)) throw new Error('the file changed while it was read')
  } finally {
    await handle.close()
  }
}

export class DropFolder {
  readonly #options: DropFolderOptions
  /** For each name how it looked, and since when it has not changed. */
  readonly #seen = new Map<string, { look: string; since: number }>()
  /** What is waited for, so that it is said once. */
  readonly #waiting = new Map<string, string>()
  /** How a pair looked when its bytes were found to be wrong: perhaps they are still being written. */
  readonly #wrong = new Map<string, { look: string; error: Error }>()
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  #isClosed = false
  #isFirstLook = true
  #problem: string | undefined

  constructor(options: DropFolderOptions) {
    this.#options = options
  }

  start() {
    this.#timer = setTimeout(() => {
      this.#looking = this.#look()
        .catch(error => this.#complain(error))
        .finally(() => {
          this.#isFirstLook = false
          if (!this.#isClosed) this.start()
        })
    }, INTERVAL)
  }

  async close() {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#looking
  }

  /** Once for each reason, not at each look. */
  #complain(error: unknown) {
    const { message } = error as Error
    if (message === this.#problem) return
    this.#problem = message
    this.#options.log.error({ err: error }, `drop folder: ${message}`)
  }

  async #look() {
    const { folder } = this.#options
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    for (const name of [...this.#seen.keys(), ...this.#waiting.keys()]) {
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
        const look = lookOf(stats)
        if (this.#seen.get(name)?.look !== look) this.#seen.set(name, { look, since: performance.now() })
      }
    }
    let problem: Error | undefined
    // Whoever waits for an origin gets it in the same look.
    for (let isNews = true; isNews && !this.#isClosed; ) {
      isNews = false
      for (const pair of pairUp([...found.keys()])) {
        if (this.#isClosed) return
        const hasLeft = await this.#consider(pair, found).catch(error => {
          problem = error as Error
          return false
        })
        if (!hasLeft) continue
        for (const name of [pair.manifest, ...pair.files]) found.delete(name)
        isNews = true
      }
    }
    if (problem) throw problem
    this.#problem = undefined
  }

  /** True if the pair has left the folder. */
  async #consider(pair: Pair, found: ReadonlyMap<string, Stats>): Promise<boolean> {
    const manifest = await this.#read(pair)
    if (manifest instanceof Error) {
      return pair.files.length > 0 && this.#isSettled(pair.manifest) && this.#fail(pair, manifest)
    }
    const promised = Array.isArray(manifest.files) ? manifest.files[0] : undefined
    const result = FIELDS.files.rule.safeParse(promised === undefined ? [] : [promised])
    const [file] = result.success ? result.data : []
    const name =
      pair.files.length === 1 ? pair.files[0]! : pair.files.find(each => found.get(each)?.size === file?.size)
    if (name === undefined) {
      if (this.#isFirstLook && (await this.#isHere(manifest, file))) return this.#takeOut(pair.manifest)
      return this.#wait(pair, 'waits for its file')
    }
    if (!result.success)
      return (
        this.#isSettled(pair.manifest) &&
        this.#fail(pair, new Error('the manifest has "files" that cannot be understood'))
      )
    const size = found.get(name)!.size
    const isQuiet = this.#isSettled(name) && this.#isSettled(pair.manifest)
    if (!file && !isQuiet) return false
    if (file && size < file.size)
      return this.#wait(pair, `waits for the rest of ${name}, ${size} of ${file.size} bytes`)
    if (file && size > file.size) {
      return isQuiet && this.#fail(pair, new Error(`${name} has ${size} bytes, not ${file.size}`))
    }
    const { origin } = manifest
    if (typeof origin === 'string' && !(await this.#options.images.manifests.find(origin))) {
      return this.#wait(pair, `waits for its origin ${origin}`)
    }
    const look = `${this.#seen.get(name)?.look} ${this.#seen.get(pair.manifest)?.look}`
    const before = this.#wrong.get(pair.manifest)
    if (before?.look === look) return isQuiet && this.#fail(pair, before.error)
    return this.#publish(pair, name, { manifest, file }, look)
  }

  /** A manifest that is alone at the start, and whose image is here, is what a crash left after the publishing. */
  async #isHere({ uuid }: Record<string, unknown>, file: RemoteFile | undefined): Promise<boolean> {
    if (typeof uuid !== 'string') return false
    const here = (await this.#options.images.manifests.find(uuid))?.image
    return here !== undefined && isActivated(here) && (!file || here.files[0]?.sha1 === file.sha1)
  }

  /** An error for what cannot be understood, which perhaps is still being written. */
  async #read({ manifest }: Pair): Promise<Record<string, unknown> | Error> {
    try {
      return readManifest(parseManifest(await this.#readText(manifest)))
    } catch (error) {
      if (error instanceof ImgapiError) return error
      // What the system says is not the manifest's fault.
      if ('code' in (error as Error)) throw error
      return new Error(`the manifest ${(error as Error).message}`)
    }
  }

  /** Throws JsonError for one that is too long. */
  async #readText(manifest: string): Promise<string> {
    const bytes = await readRegular(join(this.#options.folder, manifest), LARGEST_DOCUMENT)
    return bytes.toString()
  }

  async #publish(pair: Pair, name: string, source: Omit<Source, 'channel' | 'open'>, look: string) {
    const { folder, images, log, channel } = this.#options
    const stream = Readable.from(bytesOf(join(folder, name)), { objectMode: false })
    try {
      const open = async () => stream
      const { image, wasHere } = await publishImage(images, { ...source, channel, open })
      for (const each of [name, pair.manifest]) await this.#takeOut(each)
      const what = `${image.uuid} (${image.name} ${image.version})`
      const said = wasHere ? `${what} was here already` : `published ${what}`
      log.info({ image: image.uuid, file: name }, `drop folder: ${said}`)
      return true
    } catch (error) {
      // A full disk, or an upload under way, is not the image's fault.
      const isTheirs = error instanceof ImgapiError && error.status < 500 && error.status !== 409
      const isTaken = error instanceof ImgapiError && error.code === 'ImageUuidAlreadyExists'
      if (!isTheirs && !isTaken) throw error
      this.#wrong.set(pair.manifest, { look, error: error as Error })
      return false
    } finally {
      // One that was refused half-way still has its file open.
      stream.destroy()
    }
  }

  /** What has come under that name since it was looked at is something new. Always true. */
  async #takeOut(name: string): Promise<true> {
    const path = join(this.#options.folder, name)
    const stats = await lstat(path).catch(() => undefined)
    if (stats && lookOf(stats) === this.#seen.get(name)?.look) await rm(path, { force: true })
    this.#forget(name)
    return true
  }

  /** What is not complete yet. Always false. */
  #wait({ manifest }: Pair, what: string): false {
    const kind = what.replace(/\d+ of/, '')
    if (this.#waiting.get(manifest) !== kind && this.#isSettled(manifest)) {
      this.#waiting.set(manifest, kind)
      this.#options.log.info(`drop folder: ${manifest} ${what}`)
    }
    return false
  }

  /** What is not looked into, which is said once. */
  #ignore(name: string, problem: string) {
    if (this.#waiting.get(name) === problem) return
    this.#waiting.set(name, problem)
    this.#options.log.warn(`drop folder: ${name} is left where it is: it ${problem}`)
  }

  /** Moves a pair aside, with the reason beside it. Always true. */
  async #fail({ manifest, files }: Pair, error: Error): Promise<true> {
    const { folder, log } = this.#options
    const aside = join(folder, FAILED)
    await mkdir(aside, { recursive: true })
    if ((await lstat(aside)).isSymbolicLink()) throw new Error(`${aside} is a symbolic link: remove it`)
    const lines = [fullMessage(error), ...(await this.#advice(manifest))]
    // Removed first: a link of that name could lead to any file.
    await rm(join(aside, `${manifest}.error`), { force: true })
    await writeFile(join(aside, `${manifest}.error`), `${lines.join('\n')}\n`, { flag: 'wx' })
    const names = [...files, manifest]
    await moveTogether(folder, aside, names)
    for (const name of names) this.#forget(name)
    log.error(`drop folder: ${manifest}: ${lines.join('; ')}; moved to ${aside}`)
    return true
  }

  /** What the linter says of a manifest: what to write instead of what is wrong, and what may be better. */
  async #advice(manifest: string): Promise<string[]> {
    try {
      return lint(await this.#readText(manifest)).findings.map(inWords)
    } catch {
      // Too long or too deep to look into, which the error says.
      return []
    }
  }

  #isSettled(name: string): boolean {
    const seen = this.#seen.get(name)
    return seen !== undefined && performance.now() - seen.since >= SETTLED
  }

  #forget(name: string) {
    this.#seen.delete(name)
    this.#waiting.delete(name)
    this.#wrong.delete(name)
  }
}
