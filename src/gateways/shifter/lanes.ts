import PQueue from 'p-queue'

/** Downloads at once from one registry if WorkerThreads is less: downloads need little CPU. */
const DOWNLOADS = 4

/**
 * Queues the steps of pulls: downloads in a lane for each registry, so that a slow registry delays its own images
 * only, and conversions in one lane for all.
 */
export class Lanes {
  readonly #downloads = new Map<string, PQueue>()
  readonly #conversions: PQueue
  readonly #workers: number
  readonly #timeout: number

  /** `workers`: conversions at once. `timeout`: seconds for a download, and for a conversion. */
  constructor(workers: number, timeout: number) {
    this.#workers = workers
    this.#timeout = timeout
    this.#conversions = new PQueue({ concurrency: workers })
  }

  /** Runs the download of a pull. Rejects after the timeout, or with the reason of the signal. */
  download<T>(location: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const lane =
      this.#downloads.get(location) ?? new PQueue({ concurrency: Math.max(DOWNLOADS, this.#workers) })
    this.#downloads.set(location, lane)
    return this.#run(lane, signal, 'the download', work)
  }

  /** Runs the conversion of a downloaded image. Rejects as `download` does. */
  convert<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#run(this.#conversions, signal, 'the conversion', work)
  }

  /** Runs work in a lane. The timeout counts from the start of the work, without the wait for it. */
  async #run<T>(lane: PQueue, signal: AbortSignal, what: string, work: (signal: AbortSignal) => Promise<T>) {
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
