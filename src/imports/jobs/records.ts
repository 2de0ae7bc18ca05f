import pRetry from 'p-retry'
import type { Logger } from 'pino'
import type { Job, JobStore } from './job.ts'

/** Milliseconds until a record that the disk did not take is written again. */
const AGAIN = 5000
/** Attempts to write a record that work cannot go on without, and milliseconds before the second; then doubled. */
const ATTEMPTS = 5
const FIRST_DELAY = 100

/** Rejects if a write fails each time. */
export const insist = (write: () => Promise<void>, signal: AbortSignal) =>
  pRetry(write, { retries: ATTEMPTS - 1, minTimeout: FIRST_DELAY, signal })

/** Writes the records of jobs. A disk that does not take one for a while does not cost a job. */
export class JobRecords {
  readonly #store: JobStore
  readonly #log: Logger
  /** Jobs that the disk has older records of. */
  readonly #unsaved = new Set<Job>()
  #timer: NodeJS.Timeout | undefined

  constructor(store: JobStore, log: Logger) {
    this.#store = store
    this.#log = log
  }

  /** Rejects if the disk does not take it. */
  async save(job: Job) {
    await this.#store.save(job)
    this.#unsaved.delete(job)
  }

  /** The same, but tries several times. */
  async insist(job: Job, signal: AbortSignal) {
    await insist(() => this.save(job), signal)
  }

  /** Writes the record now, or as soon as the disk takes it. */
  async note(job: Job) {
    try {
      await this.save(job)
    } catch (error) {
      if (!this.#unsaved.has(job)) {
        this.#log.warn({ err: error, job: job.uuid }, `the record of job ${job.uuid} is not written yet`)
      }
      this.#unsaved.add(job)
      this.#timer ??= setInterval(() => this.#catchUp(), AGAIN).unref()
    }
  }

  /** Rejects if the newest state of a job is not on record and the disk does not take it now. */
  async require(job: Job) {
    if (this.#unsaved.has(job)) await this.save(job)
  }

  /** Rejects if the record may still be there, or come back. */
  async remove(job: Job) {
    this.#unsaved.delete(job)
    await this.#store.remove(job.uuid)
  }

  isThere({ uuid }: Job): Promise<boolean> {
    return this.#store.has(uuid)
  }

  async close() {
    await this.#catchUp()
    clearInterval(this.#timer)
  }

  async #catchUp() {
    for (const job of this.#unsaved) await this.note(job)
    if (this.#unsaved.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
