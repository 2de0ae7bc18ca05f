import type { Stats } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { irregularity } from '../../util/regular-file.ts'
import { FileStates } from './file-states.ts'
import { pairUp } from './files.ts'
import { type DropFolderOptions, PairProcessor } from './process-pair.ts'

/** Milliseconds between two scans. Network file systems do not notify of changes, so the folder is polled. */
const SCAN_INTERVAL = 1000

/**
 * Watches a folder into which operators copy images with any tool. Publishes and removes complete pairs of manifest
 * and file, moves invalid pairs to `failed/` with the reason beside them, and waits for incomplete ones.
 */
export class DropFolder {
  readonly #options: DropFolderOptions
  readonly #states = new FileStates()
  readonly #processor: PairProcessor
  #timer: NodeJS.Timeout | undefined
  #scanning: Promise<void> | undefined
  #isClosed = false
  #isFirstScan = true
  #problem: string | undefined

  constructor(options: DropFolderOptions) {
    this.#options = options
    this.#processor = new PairProcessor(options, this.#states)
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
    const found = await this.#findFiles()
    let problem: Error | undefined
    // Repeat until no pair is published: an image may wait for an origin that is published in the same scan.
    for (let isRepeated = true; isRepeated && !this.#isClosed; ) {
      isRepeated = false
      for (const pair of pairUp([...found.keys()])) {
        if (this.#isClosed) return
        const scan = { isFirstScan: this.#isFirstScan }
        const hasLeft = await this.#processor.process(pair, found, scan).catch(error => {
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

  /** Returns the regular files of the pairs in the folder, and records them. */
  async #findFiles(): Promise<Map<string, Stats>> {
    const { folder } = this.#options
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    this.#states.forgetAllBut(names)
    const found = new Map<string, Stats>()
    for (const name of pairUp(names).flatMap(pair => [pair.manifest, ...pair.files])) {
      const stats = await lstat(join(folder, name)).catch(() => undefined)
      if (!stats) continue
      const problem = irregularity(stats)
      if (problem) {
        this.#ignore(name, problem)
        continue
      }
      found.set(name, stats)
      this.#states.see(name, stats)
    }
    return found
  }

  /** Logs once that a file is ignored. */
  #ignore(name: string, problem: string) {
    if (!this.#states.isNew(name, problem)) return
    this.#options.log.warn(`drop folder: ${name} is left where it is: it ${problem}`)
  }
}
