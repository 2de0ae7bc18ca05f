import { existsSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import type { StoredFile } from '../../images/image.ts'
import { openRegular, readRegularNow } from '../../util/regular-file.ts'
import { Hasher } from './hasher.ts'
import { cachePath, filePath, type Layout, temporaryPath } from './layout.ts'

/** How long an answer waits for an md5 that is not known yet before it goes without. */
const PATIENCE = 10_000
const STEP = 16 * 1024 * 1024
/** Bytes of an entry of the cache, which is one short line. */
const LARGEST_ENTRY = 4096

/** Files to know of in memory, where nothing says which of them are gone; what is dropped is read or computed again. */
const MOST_FILES = 100_000

/**
 * The md5 of large and adopted files. To compute it while a file comes in would more than double the cost of
 * the upload, and only downloads need it, so it is made afterwards, one file at a time, while nothing else
 * uses the disk, or when somebody asks. It is kept in `.cache/`, which may be lost at any time.
 */
export class Md5s {
  readonly #layout: Layout
  /** A thread of its own, so that no upload waits for an md5; it costs memory, and many servers need none. */
  #hasher: Hasher | undefined
  readonly #known = new Map<string, string>()
  readonly #running = new Map<string, Promise<string | undefined>>()
  /** By image, whose newest file counts. */
  readonly #later = new Map<string, StoredFile>()
  readonly #isIdle: () => boolean
  #last: Promise<unknown> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  constructor(layout: Layout, isIdle: () => boolean) {
    this.#layout = layout
    this.#isIdle = isIdle
  }

  /** Computes it at leisure, unless it is kept already. */
  want(uuid: string, file: StoredFile) {
    this.#later.set(uuid, file)
    dropOldest(this.#later)
    this.#timer ??= setInterval(() => this.#whenIdle(), 200).unref()
  }

  /** Resolves to undefined if it would take too long. */
  async get(uuid: string, file: StoredFile): Promise<string | undefined> {
    if (file.md5) return file.md5
    const known = this.#known.get(file.name + uuid) ?? this.#readCache(uuid, file)
    if (known) return known
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<undefined>(resolve => {
      timer = setTimeout(resolve, PATIENCE, undefined)
    })
    try {
      return await Promise.race([this.#compute(uuid, file), patience])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Waits for what is being computed, which fails at once if its thread has been ended. */
  async close() {
    clearInterval(this.#timer)
    this.#later.clear()
    await this.#hasher?.close()
    await this.#last
  }

  #whenIdle() {
    if (this.#running.size > 0 || !this.#isIdle()) return
    const [next] = this.#later
    if (!next) {
      clearInterval(this.#timer)
      this.#timer = undefined
      return
    }
    const [uuid, file] = next
    this.#later.delete(uuid)
    if (!this.#known.has(file.name + uuid) && !this.#readCache(uuid, file)) this.#compute(uuid, file)
  }

  #readCache(uuid: string, { name, size, mtime }: StoredFile): string | undefined {
    try {
      const entry = JSON.parse(readRegularNow(cachePath(this.#layout, uuid), LARGEST_ENTRY).toString())
      if (entry.name !== name || entry.size !== size || entry.mtime !== mtime) return undefined
      if (!/^[0-9a-f]{32}$/.test(entry.md5)) return undefined
      this.#remember(name + uuid, entry.md5)
      return entry.md5
    } catch {
      return undefined
    }
  }

  #remember(key: string, md5: string) {
    this.#known.set(key, md5)
    dropOldest(this.#known)
  }

  #compute(uuid: string, file: StoredFile): Promise<string | undefined> {
    const key = file.name + uuid
    const running = this.#running.get(key)
    if (running) return running
    const computed = this.#last.then(() => this.#hash(uuid, file)).catch(() => undefined)
    this.#last = computed
    this.#running.set(key, computed)
    computed.then(() => this.#running.delete(key))
    return computed
  }

  async #hash(uuid: string, file: StoredFile): Promise<string | undefined> {
    const { handle } = await openRegular(filePath(this.#layout, uuid, file.name))
    try {
      this.#hasher ??= new Hasher()
      const follower = this.#hasher.follow(handle.fd, ['md5'])
      for (let end = Math.min(STEP, file.size); ; end = Math.min(end + STEP, file.size)) {
        follower.advance(end)
        if (end === file.size) break
      }
      const [md5] = await follower.finish()
      this.#remember(file.name + uuid, md5!)
      await this.#keep(uuid, file, md5!)
      return md5
    } finally {
      await handle.close()
    }
  }

  /** What cannot be kept, on a full disk for example, is computed again after a restart. */
  async #keep(uuid: string, { name, size, mtime }: StoredFile, md5: string) {
    const temporary = temporaryPath(this.#layout)
    const path = cachePath(this.#layout, uuid)
    try {
      await writeFile(temporary, `${JSON.stringify({ name, size, mtime, md5 })}\n`)
      await rename(temporary, path)
      // The image may have been deleted meanwhile, and its entry before it was made.
      if (!existsSync(filePath(this.#layout, uuid, name))) await rm(path, { force: true })
    } catch {
      await rm(temporary, { force: true }).catch(() => {})
    }
  }
}

function dropOldest(files: Map<string, unknown>) {
  if (files.size > MOST_FILES) files.delete(files.keys().next().value as string)
}
