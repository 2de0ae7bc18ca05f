import type { Logger } from 'pino'
import type { Images } from '../../images/images.ts'
import { tryLockImport, uuidOfPartial } from './import-image.ts'
import { isLive, type Job } from './job.ts'
import type { JobState } from './job-record.ts'
import type { JobRecords } from './records.ts'

/** Milliseconds before a failed removal is retried. */
const RETRY_DELAY = 5000

export interface LeftoversOptions {
  images: Images
  log: Logger
  records: JobRecords
  /** Returns whether another job or a mirror needs the partial file of that name. */
  isWanted(partial: string): boolean
}

/** Removes the partial files of finished jobs. */
export class Leftovers {
  readonly #options: LeftoversOptions
  readonly #timers = new Map<Job, NodeJS.Timeout>()

  constructor(options: LeftoversOptions) {
    this.#options = options
  }

  /** Removes the partial files of a job that ends in that state. Retries later if that fails. */
  async remove(job: Job, state: JobState) {
    this.cancel(job)
    // A failed job can be retried and resumes from its partial files.
    if (state === 'failed') return
    try {
      await this.forgetPartials(job)
    } catch (problem) {
      this.#options.log.error({ err: problem, job: job.uuid }, 'cannot remove the partial files of a job yet')
      this.#timers.set(job, setTimeout(() => void this.#removeAgain(job), RETRY_DELAY).unref())
    }
  }

  /** Removes the partial files of a job. Rejects if one cannot be removed; those left stay in `job.partials`. */
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

  /** Cancels a pending retry of a removal: the partial files of the job stay. */
  cancel(job: Job) {
    clearTimeout(this.#timers.get(job))
    this.#timers.delete(job)
  }

  close() {
    for (const job of this.#timers.keys()) this.cancel(job)
  }

  /** Retries the removal, unless the job runs again. */
  async #removeAgain(job: Job) {
    if (isLive(job)) return
    await this.remove(job, job.state)
    await this.#options.records.note(job)
  }

  /** Removes a partial file unless a running import uses it or another job or a mirror can resume from it. */
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
