import PQueue from 'p-queue'
import type { Logger } from 'pino'
import {
  downloadFailed,
  fullMessage,
  ImgapiError,
  notFound,
  serviceUnavailable,
} from '../../images/errors.ts'
import type { Images } from '../../images/images.ts'
import type { Manifest } from '../../sources/imgapi/reader.ts'
import { removeUnfinished } from './import-chain.ts'
import { interruptedTooOften, MOST_INTERRUPTIONS } from './interruptions.ts'
import { isLive, type Job, type JobStore, type Progress, type Task, toRecord } from './job.ts'
import { Leftovers } from './leftovers.ts'
import { type ImportRequest, newJob } from './new-job.ts'
import { oldJobs } from './old-jobs.ts'
import { JobRecords } from './records.ts'

export interface JobsOptions {
  images: Images
  /** The implementation of each task. */
  tasks: Readonly<Record<Job['task'], Task>>
  store: JobStore
  log: Logger
  /** How many run at once. */
  concurrency: number
  /** Returns whether anything besides the jobs, a mirror, needs the partial file of that name. */
  isNeeded(partial: string): boolean
}

/** Milliseconds between two records of the progress of a running job. */
const PROGRESS_INTERVAL = 2000

interface Running {
  controller: AbortController
  done: Promise<void>
  /** For the rate. */
  startedAt: number
  bytes: number
}

const CANCELED = downloadFailed('canceled')
const STOPPED = new Error('the server is being stopped')

export const jobNotFound = (uuid: string) => notFound(`job ${uuid} not found`)

/** Queues and runs the imports of a server, records them, and resumes them after a restart. */
export class Jobs {
  readonly #options: JobsOptions
  readonly #queue: PQueue
  readonly #records: JobRecords
  readonly #leftovers: Leftovers
  readonly #jobs = new Map<string, Job>()
  readonly #running = new Map<string, Running>()
  #isClosing = false

  constructor(options: JobsOptions) {
    this.#options = options
    this.#queue = new PQueue({ concurrency: options.concurrency })
    const { images, store, log } = options
    this.#records = new JobRecords(store, log)
    const isWanted = (name: string) => this.#isWanted(name)
    this.#leftovers = new Leftovers({ images, log, records: this.#records, isWanted })
  }

  /** Resumes the jobs that a stop or a crash interrupted, and removes old records and partial files. */
  async start() {
    const { images, store, log } = this.#options
    for (const job of await store.list()) {
      await removeUnfinished(images, job).catch(error => log.error({ err: error }, 'an old import is left'))
      this.#jobs.set(job.uuid, job)
    }
    await this.#removeOld()
    const isWanted = (name: string) => this.#isWanted(name)
    await store.sweep(isWanted).catch(error => log.error({ err: error }, 'parts of old imports are left'))
    for (const job of this.list().reverse()) if (isLive(job)) await this.#resume(job)
  }

  /**
   * Resumes a job, or fails it if it was interrupted too often: it may be the cause of the crashes. A regular stop records
   * running jobs as queued, unless the record could not be written.
   */
  async #resume(job: Job) {
    if (job.state === 'running') job.interruptions++
    if (job.interruptions <= MOST_INTERRUPTIONS) return this.#enqueue(job)
    await this.#finish(job, 'failed', interruptedTooOften('import', job.interruptions))
  }

  /** Returns the queued or running job for that image, or a new one. `manifests`: those that are fetched already. */
  async submit(request: ImportRequest, manifests: readonly Manifest[] = []): Promise<Job> {
    const live = this.findLive(request.image_uuid)
    if (live) return live
    this.#requireOpen()
    const job = newJob(this.#options.images, request)
    this.#jobs.set(job.uuid, job)
    try {
      await this.#records.save(job)
    } catch (error) {
      // The record may exist although the save failed: then the job runs, as it would after a restart.
      if (await this.#records.exists(job)) this.#enqueue(job)
      else this.#jobs.delete(job.uuid)
      throw error
    }
    this.#enqueue(job, manifests)
    await this.#removeOld()
    return job
  }

  /** Queues a failed job again; it resumes from its partial files. `source`: the job's URL, with credentials. */
  async retry(job: Job, source: URL) {
    this.#requireOpen()
    const before = { ...job }
    job.state = 'queued'
    job.interruptions = 0
    job.secret_source = source.href
    delete job.error
    delete job.started_at
    delete job.finished_at
    try {
      await this.#records.save(job)
    } catch (error) {
      Object.assign(job, before)
      // The record may say already that the job is queued.
      await this.#records.note(job)
      throw error
    }
    this.#enqueue(job)
  }

  findLive(imageUuid: string): Job | undefined {
    return [...this.#jobs.values()].find(job => job.image_uuid === imageUuid && isLive(job))
  }

  /** Throws ResourceNotFound. */
  find(uuid: string): Job {
    const job = this.#jobs.get(uuid)
    if (!job) throw jobNotFound(uuid)
    return job
  }

  /** Returns all jobs, newest first. */
  list(): Job[] {
    return [...this.#jobs.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : -1))
  }

  record(job: Job): Record<string, unknown> {
    const running = isLive(job) ? this.#running.get(job.uuid) : undefined
    const seconds = running ? (Date.now() - running.startedAt) / 1000 : 0
    return toRecord(job, running && seconds > 0 ? running.bytes / seconds : 0)
  }

  /** Cancels a queued or running job, or removes the record of a finished one. Throws ResourceNotFound. */
  async cancel(uuid: string): Promise<Job> {
    const job = this.find(uuid)
    if (!isLive(job)) {
      await this.#forget(job)
      return job
    }
    const running = this.#running.get(uuid)
    if (running) {
      running.controller.abort(CANCELED)
      await running.done
    } else {
      // Change the state first, or the queue could start the job meanwhile.
      job.state = 'canceled'
      await this.#finish(job, 'canceled', CANCELED)
    }
    await this.#records.require(job)
    return job
  }

  /** Stops the running jobs, which resume at the next start. */
  async close() {
    this.#isClosing = true
    this.#queue.clear()
    for (const { controller } of this.#running.values()) controller.abort(STOPPED)
    await Promise.all([...this.#running.values()].map(({ done }) => done))
    this.#leftovers.close()
    await this.#records.close()
  }

  /** Throws ServiceUnavailableError. */
  #requireOpen() {
    if (this.#isClosing) throw serviceUnavailable(STOPPED.message)
  }

  #enqueue(job: Job, manifests: readonly Manifest[] = []) {
    const { log } = this.#options
    // A job that waits fetches its manifests again: they may change, and those of many jobs take memory.
    const startsNow = this.#queue.pending < this.#queue.concurrency
    const work = () => this.#run(job, startsNow ? manifests : [])
    this.#queue.add(work).catch(error => log.error({ err: error }, 'job'))
  }

  async #run(job: Job, manifests: readonly Manifest[]) {
    if (this.#isClosing || !isLive(job)) return
    const controller = new AbortController()
    let over = () => {}
    const done = new Promise<void>(resolve => {
      over = resolve
    })
    this.#running.set(job.uuid, { controller, done, startedAt: Date.now(), bytes: 0 })
    try {
      await this.#work(job, controller.signal, manifests)
    } finally {
      this.#running.delete(job.uuid)
      over()
    }
  }

  async #work(job: Job, signal: AbortSignal, manifests: readonly Manifest[]) {
    const { images, tasks, log } = this.#options
    const running = this.#running.get(job.uuid)!
    let savedAt = 0
    try {
      job.state = 'running'
      job.started_at ??= images.now().toISOString()
      await this.#records.note(job)
      const progress: Progress = {
        save: () => this.#records.insist(job, signal),
        note: () => this.#records.note(job),
        moved: (step, bytes, arrived) => {
          running.bytes += arrived
          step.bytes_done = bytes
          if (Date.now() - savedAt < PROGRESS_INTERVAL) return
          savedAt = Date.now()
          void this.#records.note(job)
        },
        retried: error => {
          job.retries++
          job.last_retry = { message: error.message, at: images.now().toISOString() }
          log.warn({ job: job.uuid, image: job.image_uuid }, `import: ${error.message}; retrying`)
        },
      }
      await tasks[job.task](job, signal, progress, manifests)
      await this.#finish(job, 'succeeded')
    } catch (error) {
      if (signal.aborted && signal.reason === STOPPED) {
        job.state = 'queued'
        await this.#records.note(job)
      } else if (signal.aborted) await this.#finish(job, 'canceled', CANCELED)
      else await this.#finish(job, 'failed', error)
    }
  }

  /** Ends the job, even if its record cannot be written now. */
  async #finish(job: Job, state: 'succeeded' | 'failed' | 'canceled', error?: unknown) {
    const { images, log } = this.#options
    await this.#leftovers.remove(job, state)
    job.state = state
    // The job is over: delete the credentials.
    job.secret_source = job.source
    job.finished_at = images.now().toISOString()
    if (error === undefined) delete job.error
    else {
      const code = error instanceof ImgapiError ? error.code : 'InternalError'
      job.error = { code, message: fullMessage(error as Error) }
    }
    await this.#records.note(job)
    const entry = {
      job: job.uuid,
      image: job.image_uuid,
      source: job.source,
      ...(state === 'failed' && { err: error }),
    }
    log[state === 'failed' ? 'error' : 'info'](entry, `import of image ${job.image_uuid} ${state}`)
    await this.#removeOld()
  }

  #isWanted(partial: string): boolean {
    return this.list().some(({ partials }) => partials.includes(partial)) || this.#options.isNeeded(partial)
  }

  async #removeOld() {
    const { images, log } = this.#options
    for (const job of oldJobs(this.list(), images.now())) {
      await this.#forget(job).catch(error =>
        log.warn({ err: error }, 'cannot remove the record of an old job yet'),
      )
    }
  }

  async #forget(job: Job) {
    this.#leftovers.cancel(job)
    await this.#leftovers.forgetPartials(job)
    try {
      await this.#records.remove(job)
    } catch (error) {
      // The record may be gone although the removal failed.
      if (!(await this.#records.exists(job))) this.#jobs.delete(job.uuid)
      throw error
    }
    this.#jobs.delete(job.uuid)
  }
}
