import { existsSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import type { StoredFile } from '../../images/image.ts'
import { openRegular, readRegularNow } from '../../util/regular-file.ts'
import { Hasher } from './hasher.ts'
import { cachePath, filePath, type Layout, temporaryPath } from './layout.ts'

/** Milliseconds that a response waits for an unknown md5 before it is sent without. */
const PATIENCE = 10_000
const STEP = 16 * 1024 * 1024
/** Bytes of a cache entry, which is one short line. */
const LARGEST_ENTRY = 4096

/** Entries in memory, where deleted files are not noticed; an evicted entry is read or computed again. */
const MOST_FILES = 100_000

/**
 * Computes the md5 of large and adopted files. Computing it during an upload would more than double the upload's cost,
 * and only downloads need it, so it is computed afterwards, one file at a time, while no transfer runs or on demand.
 * It is stored in `.cache/`, which may be deleted at any time.
 */
export class Md5s {
  readonly #layout: Layout
  /** A separate thread, so that no upload waits for an md5. Started on demand, since it costs memory. */
  #hasher: Hasher | undefined
  readonly #known = new Map<string, string>()
  readonly #running = new Map<string, Promise<string | undefined>>()
  /** The newest file of each image. */
  readonly #later = new Map<string, StoredFile>()
  readonly #isIdle: () => boolean
  #last: Promise<unknown> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  constructor(layout: Layout, isIdle: () => boolean) {
    this.#layout = layout
    this.#isIdle = isIdle
  }

  /** Computes the md5 of a file when no transfer runs, unless it is known. */
  schedule(uuid: string, file: StoredFile) {
    this.#later.set(uuid, file)
    dropOldest(this.#later)
    this.#timer ??= setInterval(() => this.#whenIdle(), 200).unref()
  }

  /** Returns the md5 of a file; undefined if it would take too long. */
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

  /** Ends the thread and waits for the computation under way, which fails then. */
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
    if (!this.#known.has(file.name + uuid) && !this.#readCache(uuid, file)) void this.#compute(uuid, file)
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
    void computed.then(() => this.#running.delete(key))
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
      await this.#writeCache(uuid, file, md5!)
      return md5
    } finally {
      await handle.close()
    }
  }

  /** Writes a cache entry. If that fails, as on a full disk, the md5 is computed again after a restart. */
  async #writeCache(uuid: string, { name, size, mtime }: StoredFile, md5: string) {
    const temporary = temporaryPath(this.#layout)
    const path = cachePath(this.#layout, uuid)
    try {
      await writeFile(temporary, `${JSON.stringify({ name, size, mtime, md5 })}\n`)
      await rename(temporary, path)
      // The image may have been deleted meanwhile, and the removal of its entry may have come before this write.
      if (!existsSync(filePath(this.#layout, uuid, name))) await rm(path, { force: true })
    } catch {
      await rm(temporary, { force: true }).catch(() => {})
    }
  }
}

function dropOldest(files: Map<string, unknown>) {
  if (files.size > MOST_FILES) files.delete(files.keys().next().value as string)
}
