import type { Logger } from 'pino'
import type { Images } from '../../images/images.ts'
import { tryLockImport, uuidOfPartial } from './import-image.ts'
import { isLive, type Job, type JobState } from './job.ts'
import type { JobRecords } from './records.ts'

/** Milliseconds until what could not be removed is tried again. */
const AGAIN = 5000

export interface LeftoversOptions {
  images: Images
  log: Logger
  records: JobRecords
  /** Whether another job or a mirror needs what the file store has under that name. */
  isWanted(partial: string): boolean
}

/** What jobs that are over leave: files of which they have a part. */
export class Leftovers {
  readonly #options: LeftoversOptions
  readonly #timers = new Map<Job, NodeJS.Timeout>()

  constructor(options: LeftoversOptions) {
    this.#options = options
  }

  /** Removes what is left of a job that ends in that state; what cannot be removed now goes later. */
  async remove(job: Job, state: JobState) {
    this.keep(job)
    // What a failed job has so far serves the next attempt; a canceled one is not tried again.
    if (state === 'failed') return
    try {
      await this.forgetPartials(job)
    } catch (problem) {
      this.#options.log.error({ err: problem, job: job.uuid }, 'what a job has left cannot be removed yet')
      this.#timers.set(job, setTimeout(() => void this.#removeAgain(job), AGAIN).unref())
    }
  }

  /** Rejects if some of them cannot be removed; these the job still has. */
  async forgetPartials(job: Job) {
    const names = job.partials
    job.partials = []
    try {
      for (const name of [...names]) {
        await this.#forgetPartial(name)
        names.shift()
      }
    } finally {
      job.partials.push(...names)
    }
  }

  /** Removes nothing of a job any more. */
  keep(job: Job) {
    clearTimeout(this.#timers.get(job))
    this.#timers.delete(job)
  }

  close() {
    for (const job of this.#timers.keys()) this.keep(job)
  }

  /** The same for a job that was over before, unless it runs again. */
  async #removeAgain(job: Job) {
    if (isLive(job)) return
    await this.remove(job, job.state)
    await this.#options.records.note(job)
  }

  /** A job that came later for the same image may be going on with it, and an import that runs now uses it. */
  async #forgetPartial(name: string) {
    const { images, isWanted } = this.#options
    const release = await tryLockImport(images, uuidOfPartial(name))
    if (!release) return
    try {
      if (!isWanted(name)) await images.files.forget(name)
    } finally {
      release()
    }
  }
}
