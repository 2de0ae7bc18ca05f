import pRetry from 'p-retry'
import type { Logger } from 'pino'
import type { Job, JobStore } from './job.ts'

/** Milliseconds before a failed write of a record is retried. */
const RETRY_INTERVAL = 5000
/**
 * Attempts to write a record that a job cannot continue without, and milliseconds before the second; then doubled.
 */
const ATTEMPTS = 5
const FIRST_DELAY = 100

/** Retries a write several times. Rejects if it fails each time. */
export const insist = (write: () => Promise<void>, signal: AbortSignal) =>
  pRetry(write, { retries: ATTEMPTS - 1, minTimeout: FIRST_DELAY, signal })

/** Writes the records of jobs. A temporary failure of the disk does not fail a job. */
export class JobRecords {
  readonly #store: JobStore
  readonly #log: Logger
  /** Jobs whose stored record is out of date. */
  readonly #unsaved = new Set<Job>()
  #timer: NodeJS.Timeout | undefined

  constructor(store: JobStore, log: Logger) {
    this.#store = store
    this.#log = log
  }

  /** Writes the record. Rejects if it cannot be written. */
  async save(job: Job) {
    await this.#store.save(job)
    this.#unsaved.delete(job)
  }

  /** Writes the record, with several attempts. */
  async insist(job: Job, signal: AbortSignal) {
    await insist(() => this.save(job), signal)
  }

  /** Writes the record now or, if that fails, later. */
  async note(job: Job) {
    try {
      await this.save(job)
    } catch (error) {
      if (!this.#unsaved.has(job)) {
        this.#log.warn({ err: error, job: job.uuid }, `the record of job ${job.uuid} is not written yet`)
      }
      this.#unsaved.add(job)
      this.#timer ??= setInterval(() => this.#catchUp(), RETRY_INTERVAL).unref()
    }
  }

  /** Writes the record if it is out of date. Rejects if it cannot be written. */
  async require(job: Job) {
    if (this.#unsaved.has(job)) await this.save(job)
  }

  /** Removes the record. Rejects if the record may still exist. */
  async remove(job: Job) {
    this.#unsaved.delete(job)
    await this.#store.remove(job.uuid)
  }

  /** Returns whether a record of the job exists. */
  exists({ uuid }: Job): Promise<boolean> {
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
