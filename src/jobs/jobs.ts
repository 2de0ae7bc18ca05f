import PQueue from 'p-queue'
import type { Logger } from 'pino'
import { fullMessage, ImgapiError } from '../images/errors.ts'
import type { Images } from '../images/images.ts'
import { withoutCredentials } from '../sources/http-client.ts'
import { tryImport, uuidOfPartial } from './bring-image.ts'
import { removeUnfinished } from './import-chain.ts'
import { interruptedTooOften, MOST_INTERRUPTIONS } from './interruptions.ts'
import { type FetchedImage, isLive, type Job, type JobStore, type Task, toRecord } from './job.ts'

export interface JobsOptions {
  images: Images
  /** How a job of each kind is done. */
  tasks: Readonly<Record<Job['task'], Task>>
  store: JobStore
  log: Logger
  /** How many run at once. */
  concurrency: number
  /** Whether somebody else needs what the file store has under that name of what a job fetches. */
  keeps(partial: string): boolean
}

export interface ImportRequest {
  task: Job['task']
  image_uuid: string
  source: URL
  channel?: string | undefined
  /** For task `fetch-image`. */
  fetch?: FetchedImage | undefined
}

/** Finished records are kept this long for people to look at, and not more of them than this. */
const KEPT = 30 * 24 * 3600 * 1000
const MOST_KEPT = 5000
/** How often the progress of a running job is written down. */
const PROGRESS_INTERVAL = 2000

interface Running {
  controller: AbortController
  done: Promise<void>
  /** For the rate. */
  startedAt: number
  bytes: number
}

const CANCELED = new ImgapiError('Download', 'canceled')
const STOPPED = new Error('the server is being stopped')

export const jobNotFound = (uuid: string) => new ImgapiError('ResourceNotFound', `job ${uuid} not found`)

/** The imports of a server: queued, a few at once, on record, and resumed after a restart. */
export class Jobs {
  readonly #options: JobsOptions
  readonly #queue: PQueue
  readonly #jobs = new Map<string, Job>()
  readonly #running = new Map<string, Running>()
  #isClosing = false

  constructor(options: JobsOptions) {
    this.#options = options
    this.#queue = new PQueue({ concurrency: options.concurrency })
  }

  /** Takes up what a stop or a crash interrupted, and forgets what is long over. */
  async start() {
    const { store } = this.#options
    for (const job of await store.list()) {
      await removeUnfinished(this.#options.images, job)
      this.#jobs.set(job.uuid, job)
    }
    await this.#forgetOld()
    const partials = new Set(this.list().flatMap(job => job.partials))
    await store.sweep(name => partials.has(name) || this.#options.keeps(name))
    for (const job of this.list().reverse()) if (isLive(job)) await this.#takeUp(job)
  }

  /**
   * A job that was running when the server ended without being asked to may be what ended it. A stop leaves no
   * record of a running job, unless that could not be written.
   */
  async #takeUp(job: Job) {
    if (job.state === 'running') job.interruptions++
    if (job.interruptions <= MOST_INTERRUPTIONS) return this.#enqueue(job)
    await this.#finish(job, 'failed', interruptedTooOften('import', job.interruptions))
  }

  /** The job for that image which is under way, or a new one. */
  async submit(request: ImportRequest): Promise<Job> {
    const live = this.findLive(request.image_uuid)
    if (live) return live
    this.#requireOpen()
    const { images, store } = this.#options
    const job: Job = {
      uuid: images.newUuid(),
      task: request.task,
      image_uuid: request.image_uuid,
      source: withoutCredentials(request.source),
      secret_source: request.source.href,
      channel: request.channel,
      state: 'queued',
      retries: 0,
      interruptions: 0,
      created_at: images.now().toISOString(),
      steps: [],
      partials: [],
      ...(request.fetch && { fetch: request.fetch }),
    }
    this.#jobs.set(job.uuid, job)
    try {
      await store.save(job)
    } catch (error) {
      this.#jobs.delete(job.uuid)
      throw error
    }
    this.#enqueue(job)
    await this.#forgetOld()
    return job
  }

  /** Puts a failed job back into the queue, to go on with what it has. `source`: its own, with the credentials. */
  async retry(job: Job, source: URL) {
    this.#requireOpen()
    job.state = 'queued'
    job.interruptions = 0
    job.secret_source = source.href
    delete job.error
    delete job.started_at
    delete job.finished_at
    await this.#options.store.save(job)
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

  /** Newest first. */
  list(): Job[] {
    return [...this.#jobs.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : -1))
  }

  record(job: Job): Record<string, unknown> {
    const running = isLive(job) ? this.#running.get(job.uuid) : undefined
    const seconds = running ? (Date.now() - running.startedAt) / 1000 : 0
    return toRecord(job, running && seconds > 0 ? running.bytes / seconds : 0)
  }

  /** Stops a job that is under way, takes its unfinished image away, and forgets the record of one that is over. */
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
      // At once, or its turn could come meanwhile.
      job.state = 'canceled'
      await this.#finish(job, 'canceled', CANCELED)
    }
    return job
  }

  /** Stops what runs; it goes on at the next start. */
  async close() {
    this.#isClosing = true
    this.#queue.clear()
    for (const { controller } of this.#running.values()) controller.abort(STOPPED)
    await Promise.all([...this.#running.values()].map(({ done }) => done))
  }

  /** Throws ServiceUnavailableError. */
  #requireOpen() {
    if (this.#isClosing) throw new ImgapiError('ServiceUnavailableError', STOPPED.message)
  }

  #enqueue(job: Job) {
    this.#queue.add(() => this.#run(job)).catch(error => this.#options.log.error({ err: error }, 'job'))
  }

  async #run(job: Job) {
    if (this.#isClosing || !isLive(job)) return
    const controller = new AbortController()
    let over = () => {}
    const done = new Promise<void>(resolve => {
      over = resolve
    })
    this.#running.set(job.uuid, { controller, done, startedAt: Date.now(), bytes: 0 })
    try {
      await this.#work(job, controller.signal)
    } finally {
      this.#running.delete(job.uuid)
      over()
    }
  }

  async #work(job: Job, signal: AbortSignal) {
    const { images, tasks, store, log } = this.#options
    const running = this.#running.get(job.uuid)!
    let savedAt = 0
    try {
      job.state = 'running'
      job.started_at ??= images.now().toISOString()
      await store.save(job)
      await tasks[job.task](job, signal, {
        save: () => store.save(job),
        moved: (step, bytes, arrived) => {
          running.bytes += arrived
          step.bytes_done = bytes
          if (Date.now() - savedAt < PROGRESS_INTERVAL) return
          savedAt = Date.now()
          store.save(job).catch(error => log.warn({ err: error }, 'the progress of a job is not saved'))
        },
        retried: error => {
          job.retries++
          job.last_retry = { message: error.message, at: images.now().toISOString() }
          log.warn({ job: job.uuid, image: job.image_uuid }, `import: ${error.message}; trying again`)
        },
      })
      await this.#finish(job, 'succeeded')
    } catch (error) {
      if (signal.aborted && signal.reason === STOPPED) {
        job.state = 'queued'
        await this.#save(job)
      } else if (signal.aborted) await this.#finish(job, 'canceled', CANCELED)
      else await this.#finish(job, 'failed', error)
    }
  }

  /** Whatever the disk says to it, the job is over then. */
  async #finish(job: Job, state: 'succeeded' | 'failed' | 'canceled', error?: unknown) {
    const { images, log } = this.#options
    try {
      // What a failed job has so far serves the next attempt; nobody attempts a canceled one again.
      if (state !== 'failed') await this.#forgetPartials(job)
    } catch (problem) {
      log.error({ err: problem, job: job.uuid }, 'what a job has left cannot be removed')
    }
    job.state = state
    // Nobody needs the credentials any more.
    job.secret_source = job.source
    job.finished_at = images.now().toISOString()
    if (error === undefined) delete job.error
    else {
      const code = error instanceof ImgapiError ? error.code : 'InternalError'
      job.error = { code, message: fullMessage(error as Error) }
    }
    await this.#save(job)
    const entry = {
      job: job.uuid,
      image: job.image_uuid,
      source: job.source,
      ...(state === 'failed' && { err: error }),
    }
    log[state === 'failed' ? 'error' : 'info'](entry, `import of image ${job.image_uuid} ${state}`)
    await this.#forgetOld().catch(problem => log.error({ err: problem }, 'old jobs cannot be forgotten'))
  }

  /** For a record that is as good without: then the next start does the same again. */
  async #save(job: Job) {
    const { store, log } = this.#options
    await store.save(job).catch(error => log.error({ err: error }, `job ${job.uuid} is not saved`))
  }

  /** A job that came later for the same image may be going on with them. */
  async #forgetPartials(job: Job) {
    const names = job.partials
    job.partials = []
    const { images, keeps } = this.#options
    for (const name of names) {
      const release = await tryImport(images, uuidOfPartial(name))
      if (!release) continue
      try {
        const isWanted = keeps(name) || this.list().some(({ partials }) => partials.includes(name))
        if (!isWanted) await images.files.forget(name)
      } finally {
        release()
      }
    }
  }

  async #forgetOld() {
    const oldest = this.#options.images.now().getTime() - KEPT
    const finished = this.list().filter(job => !isLive(job))
    for (const [index, job] of finished.entries()) {
      const isOld = index >= MOST_KEPT || Date.parse(job.finished_at ?? job.created_at) < oldest
      if (isOld) await this.#forget(job)
    }
  }

  async #forget(job: Job) {
    await this.#forgetPartials(job)
    this.#jobs.delete(job.uuid)
    await this.#options.store.remove(job.uuid)
  }
}
