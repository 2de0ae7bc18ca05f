import PQueue from 'p-queue'

/** Downloads at once from one registry, if WorkerThreads is less: they need little of this machine. */
const DOWNLOADS = 4

/**
 * Where pulls wait for their turn: for their download in a lane for each registry, so that a slow one delays its
 * own images only, and for what is made of it in one lane for all.
 */
export class Lanes {
  readonly #downloads = new Map<string, PQueue>()
  readonly #making: PQueue
  readonly #workers: number
  readonly #timeout: number

  /** `workers`: images that are made at once. `timeout`: seconds that a download, or the making, may take. */
  constructor(workers: number, timeout: number) {
    this.#workers = workers
    this.#timeout = timeout
    this.#making = new PQueue({ concurrency: workers })
  }

  /** Runs the download of a pull. Rejects when it takes too long, or with the reason of the signal. */
  download<T>(location: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const lane =
      this.#downloads.get(location) ?? new PQueue({ concurrency: Math.max(DOWNLOADS, this.#workers) })
    this.#downloads.set(location, lane)
    return this.#enter(lane, signal, 'the download', work)
  }

  /** Runs what makes an image of what was downloaded. Rejects as `download` does. */
  make<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#enter(this.#making, signal, 'making the image', work)
  }

  /** Time counts from the begin of the work, not of the wait for it. */
  async #enter<T>(
    lane: PQueue,
    signal: AbortSignal,
    what: string,
    work: (signal: AbortSignal) => Promise<T>,
  ) {
    const late = new AbortController()
    const run = async () => {
      signal.throwIfAborted()
      const stop = () => late.abort(new Error(`${what} took more than ${this.#timeout} seconds`))
      const timer = setTimeout(stop, this.#timeout * 1000)
      try {
        return await work(AbortSignal.any([signal, late.signal]))
      } finally {
        clearTimeout(timer)
      }
    }
    try {
      return (await lane.add(run, { signal })) as T
    } catch (error) {
      signal.throwIfAborted()
      late.signal.throwIfAborted()
      throw error
    }
  }
}
