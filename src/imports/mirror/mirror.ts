import type { Logger } from 'pino'
import type { Images } from '../../images/images.ts'
import type { HttpClient } from '../../sources/http-client.ts'
import { ImgapiSource } from '../../sources/imgapi/source.ts'
import type { RetryPolicy } from '../../sources/retry.ts'
import { interruptedTooOften, MOST_INTERRUPTIONS } from '../jobs/interruptions.ts'
import { insist } from '../jobs/records.ts'
import { type Done, executePlan, type Transfers } from './execute-plan.ts'
import { makePlan, type Plan } from './plan.ts'
import { emptyRecord, type MirrorRecord, type MirrorStore } from './record.ts'
import type { MirrorSettings } from './settings.ts'
import type { Action, MirrorProgress, MirrorStatus, RunSummary } from './status.ts'
import { surveyLocal, surveyUpstream } from './survey.ts'
import { throttle } from './throttle.ts'

export interface MirrorContext {
  images: Images
  client: HttpClient
  store: MirrorStore
  log: Logger
  retry: RetryPolicy
  /** Images that are imported concurrently. */
  concurrency: number
}

/** Milliseconds from the start of the server to the first run. */
const FIRST_DELAY = 500

/** Keeps the server in step with one source. */
export class Mirror {
  readonly #settings: MirrorSettings
  readonly #context: MirrorContext
  readonly #source: ImgapiSource
  readonly #throttle: ReturnType<typeof throttle> | undefined
  /** The local channel, resolved. */
  readonly #channel: string | undefined
  #record: MirrorRecord
  #running: { controller: AbortController; ended: Promise<void> } | undefined
  #timer: NodeJS.Timeout | undefined
  #nextRun: Date | undefined
  #planned: readonly Action[] = []
  readonly #transfers: Transfers = new Map()
  #done: Done[] = []
  /** The last error, until a run succeeds. */
  #error: string | undefined
  /** How many runs in a row were ended by a crash of the server before their first action. */
  #interruptions = 0
  #isScheduled = false
  #isClosed = false

  constructor(settings: MirrorSettings, channel: string | undefined, context: MirrorContext) {
    this.#settings = settings
    this.#context = context
    this.#channel = channel
    this.#source = new ImgapiSource(context.client, new URL(settings.source))
    this.#record = emptyRecord(this.label)
    this.#throttle = settings.rateLimit === undefined ? undefined : throttle(settings.rateLimit)
  }

  get label() {
    return this.#source.label
  }

  /** Reads the record; must be called first. Throws OperatorError if it cannot be read. */
  async load() {
    this.#record = (await this.#context.store.load(this.label)) ?? this.#record
    const { running } = this.#record
    if (running) this.#interruptions = running.interruptions + 1
  }

  isImporting(uuid: string): boolean {
    return this.#record.making.includes(uuid)
  }

  /** Runs soon, and then at each interval. After too many interruptions the first run waits for the interval. */
  start() {
    this.#isScheduled = true
    if (this.#interruptions <= MOST_INTERRUPTIONS) return this.#schedule(FIRST_DELAY)
    this.#error = interruptedTooOften('run', this.#interruptions).message
    this.#context.log.error({ source: this.label }, `mirror of ${this.label} failed: ${this.#error}`)
    this.#interruptions = 0
    this.#schedule(this.#settings.interval * 1000)
  }

  /** Starts a run or joins the current one. Resolves when it is over, even if it failed. */
  run(): Promise<void> {
    if (this.#running) return this.#running.ended
    if (this.#isClosed) return Promise.resolve()
    clearTimeout(this.#timer)
    this.#nextRun = undefined
    const controller = new AbortController()
    const ended = this.#runOnce(controller.signal).finally(() => {
      this.#running = undefined
      if (this.#isScheduled) this.#schedule(this.#settings.interval * 1000)
    })
    this.#running = { controller, ended }
    return ended
  }

  /** Returns what a run would do now. Throws SourceError or OperatorError. */
  async plan(): Promise<Plan> {
    return (await this.#survey(new AbortController().signal)).plan
  }

  /** Returns the state of the mirror, for operators. */
  describe({ actions = false } = {}): MirrorStatus {
    const { source, images, removed, last_run, last_success } = this.#record
    const { interval, onDelete } = this.#settings
    return {
      source,
      state: this.#running ? 'running' : 'idle',
      interval,
      on_delete: onDelete,
      images: Object.keys(images).length,
      removed: removed.length,
      ...(this.#running && { progress: this.#progress() }),
      last_run,
      last_success,
      last_error: this.#error,
      next_run: this.#nextRun?.toISOString(),
      ...(actions && { actions: this.#done }),
    }
  }

  /** Stops the current run; the next start resumes it. */
  async close() {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#running?.controller.abort()
    await this.#running?.ended
  }

  #progress(): MirrorProgress {
    const sum = (actions: readonly Action[]) => actions.reduce((total, { size = 0 }) => total + size, 0)
    const under_way = [...this.#transfers].map(([uuid, transfer]) => ({ uuid, ...transfer }))
    return {
      planned: this.#planned.length,
      done: this.#done.length,
      bytes_expected: sum(this.#planned),
      bytes_done: sum(this.#done) + under_way.reduce((total, { bytes_done }) => total + bytes_done, 0),
      images: under_way,
    }
  }

  #schedule(milliseconds: number) {
    if (this.#isClosed) return
    this.#nextRun = new Date(this.#context.images.now().getTime() + milliseconds)
    this.#timer = setTimeout(() => this.run(), milliseconds)
  }

  async #survey(signal: AbortSignal) {
    const { images, retry } = this.#context
    const record = this.#record
    const upstream = await surveyUpstream({ source: this.#source, retry, signal }, this.#settings, record)
    const local = await surveyLocal(images)
    return { upstream, local, plan: makePlan(upstream, local, record, this.#settings) }
  }

  async #runOnce(signal: AbortSignal) {
    const { images, store, log } = this.#context
    const startedAt = images.now()
    this.#done = []
    this.#planned = []
    let failure: Error | undefined
    try {
      this.#record.running = { interruptions: this.#interruptions }
      await insist(() => store.save(this.#record), signal)
      const { upstream, local, plan } = await this.#survey(signal)
      this.#planned = plan.actions
      this.#record = plan.record
      await insist(() => store.save(plan.record), signal)
      const { store: _, ...context } = this.#context
      const own = {
        source: this.#source,
        channel: this.#channel,
        transfers: this.#transfers,
        signal,
        onChange: this.#saver(plan.record),
      }
      const limit = this.#throttle && { throttle: this.#throttle }
      await executePlan({ ...context, ...own, ...limit }, upstream, local, plan, this.#done)
    } catch (error) {
      failure = error as Error
    }
    try {
      await this.#conclude(startedAt, signal.aborted, failure)
    } catch (error) {
      log.error({ err: error, source: this.label }, 'mirror: the record of the run cannot be written')
    }
  }

  /**
   * Returns a function that saves the progress. A crash loses little: `making` finds the images that were
   * finished.
   */
  #saver(record: MirrorRecord): () => void {
    const { store, log } = this.#context
    return () => {
      // A run that makes progress is not the cause of a crash.
      record.running = { interruptions: 0 }
      store.save(record).catch(error => log.warn({ err: error }, 'mirror: its progress is not saved'))
    }
  }

  async #conclude(startedAt: Date, isStopped: boolean, failure: Error | undefined) {
    const { images, store, log } = this.#context
    const count = (action: Done['action']) =>
      this.#done.filter(one => one.action === action && one.result === 'done')
    const imported = count('import')
    const failed = this.#done.filter(({ result }) => result === 'failed')
    const error = failure?.message ?? (failed[0] && `${failed.length} image(s): ${failed[0].error}`)
    const summary: RunSummary = {
      started_at: startedAt.toISOString(),
      finished_at: images.now().toISOString(),
      state: isStopped ? 'stopped' : error === undefined ? 'succeeded' : 'failed',
      ...(error !== undefined && !isStopped && { error }),
      imported: imported.length,
      updated: count('update').length,
      disabled: count('disable').length,
      deleted: count('delete').length,
      failed: failed.length,
      bytes: imported.reduce((total, { size = 0 }) => total + size, 0),
    }
    const entry = { source: this.label, ...summary }
    if (summary.state === 'failed') {
      this.#error = error
      const consequence = failure ? '; the images here are still served' : ''
      log.error(entry, `mirror of ${this.label} failed: ${error}${consequence}`)
    } else {
      if (summary.state === 'succeeded') this.#error = undefined
      const { imported, updated, disabled, deleted } = summary
      const counts = `${imported} imported, ${updated} updated, ${disabled} disabled, ${deleted} deleted`
      log.info(entry, `mirror of ${this.label} ${summary.state}: ${counts}`)
    }
    this.#interruptions = 0
    delete this.#record.running
    this.#record.last_run = summary
    if (summary.state === 'succeeded') this.#record.last_success = summary.finished_at
    await store.save(this.#record)
  }
}
