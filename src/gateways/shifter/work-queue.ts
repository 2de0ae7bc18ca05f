import { join } from 'node:path'
import PQueue from 'p-queue'
import { lockName, type ShifterContext } from './context.ts'
import { deliverMeta } from './deliver-meta.ts'
import { importFile, importImage } from './import.ts'
import { settleNames } from './names.ts'
import { partialName } from './platform.ts'
import { removeTree } from './programs.ts'
import { pull } from './pull.ts'
import { type ImageRecord, imageFile, isUnderWay, isWaiting, metaFile, now, type Work } from './record.ts'

/** Runs pulls, imports and removals, a few at once. They are recorded on disk and run again after a restart. */

const STOPPED = new Error('the gateway is being stopped')
/** Milliseconds before a failed removal is retried; the delay doubles each time, up to `LONGEST_RETRY`. */
const REMOVAL_RETRY = 1000
const LONGEST_RETRY = 60_000
/** Removals at once; they are not urgent. */
const REMOVALS = 2
/** Pulls and imports that run or wait. A longer queue would take more time than a client waits. */
const MOST_AT_ONCE = 1000
/** The most crashes of the server during the same work after which the work is still restarted. */
const MOST_CRASHES = 2

/** Failures that are kept for one name, besides the newest. */
const MOST_FAILURES = 9

export class WorkQueue {
  /** Called when a pull has failed, with its record and with the record of the failure that replaces it. */
  onFailure: (pull: ImageRecord, failure: ImageRecord) => void = () => {}
  readonly #context: ShifterContext
  readonly #running = new Set<Promise<void>>()
  readonly #removals = new PQueue({ concurrency: REMOVALS })
  readonly #controller = new AbortController()

  constructor(context: ShifterContext) {
    this.#context = context
  }

  get isFull() {
    return this.#running.size >= MOST_AT_ONCE
  }

  /**
   * Restarts the work that a stop or a crash interrupted, and removes the files that it may have left on a
   * system. A pull with credentials is not restarted: only its client has them, and its next request starts the
   * pull. Work that was running at several crashes in a row may be their cause, so it fails.
   */
  async start() {
    const { records, platforms } = this.#context
    await settleNames(this.#context)
    const restarted = new Set<string>()
    for (const record of records.all()) {
      if (!platforms.has(record.system)) continue
      await this.#sweep(record)
      if (isUnderWay(record)) {
        const { system, type, pulltag, work } = record
        const name = JSON.stringify([system, type, pulltag])
        if (work && !work.hasCredentials && !restarted.has(name)) {
          restarted.add(name)
          await this.#restart(record, work)
        }
        await this.remove(record)
      } else if (record.status === 'EXPIRING') {
        await this.remove(record)
      }
    }
  }

  /** Queues the work that the record describes. `credentials`: `user:password` for the registry. */
  add(record: ImageRecord, credentials?: string) {
    if (this.#controller.signal.aborted) return
    const run: Promise<void> = this.#run(record, credentials).finally(() => this.#running.delete(run))
    this.#running.add(run)
  }

  async #restart(record: ImageRecord, work: Work) {
    const { records, log } = this.#context
    const crashes = (work.crashes ?? 0) + (isWaiting(record) ? 0 : 1)
    if (crashes <= MOST_CRASHES) {
      this.add(await records.add({ ...toStart(record), work: { ...work, crashes }, status: 'PENDING' }))
      return
    }
    const message = `the server ended ${crashes} times during this work: it is not restarted`
    log.error(`image ${record.type}:${record.pulltag} for ${record.system} failed: ${message}`)
    await records.add({ ...toStart(record), status: 'FAILURE', message, lastPull: now() })
  }

  /** Removes the files of a record, and then the record. Resolves when the removal is recorded, before it is done. */
  async remove({ key, id, work }: ImageRecord) {
    const { records } = this.#context
    if (id === undefined && work?.filepath === undefined) return records.remove(key)
    this.#addRemoval(await records.update(key, () => ({ status: 'EXPIRING', tags: [] })))
  }

  /** Returns whether the file that an image was imported from is known to have changed since. */
  async isOutdated({ system, imported }: ImageRecord): Promise<boolean> {
    const { platforms } = this.#context
    const lookup = platforms.get(system)!.versionOf(imported!.filepath, this.#controller.signal)
    const version = await lookup.catch(() => undefined)
    return version !== undefined && version !== imported!.version
  }

  /** Stops the work that runs; the next start restarts it. */
  async close() {
    this.#controller.abort(STOPPED)
    this.#removals.clear()
    await Promise.all([...this.#running, this.#removals.onIdle()])
  }

  async #run(record: ImageRecord, credentials: string | undefined) {
    const { log, lanes } = this.#context
    const { signal } = this.#controller
    const name = `${record.type}:${record.pulltag} for ${record.system}`
    try {
      if (record.work?.filepath === undefined) await pull(this.#context, record, credentials, signal)
      else await lanes.convert(signal, within => importImage(this.#context, record, within))
      log.info(`image ${name} is ready`)
    } catch (error) {
      if (signal.aborted) return await this.#requeue(record)
      log.warn({ err: error }, `image ${name} failed: ${(error as Error).message}`)
      await this.#fail(record, (error as Error).message)
    }
  }

  /** Queues interrupted work for the next start. Status PENDING, so that the stop does not count as a crash. */
  async #requeue({ key }: ImageRecord) {
    const { records, log } = this.#context
    const record = records.find(key)
    if (!record || !isUnderWay(record)) return
    const requeued = records.update(key, () => ({ status: 'PENDING' }))
    await requeued.catch(error => log.warn(`the record of a pull is not up to date: ${error.message}`))
  }

  /** Records the failure before removing the pull, so that a client always finds one of the two. */
  async #fail({ key }: ImageRecord, message: string) {
    const { records, log } = this.#context
    const record = records.find(key)
    // Do not fail a record that has become READY.
    if (!record || !isUnderWay(record)) return
    try {
      const { system, type, pulltag } = record
      // Other clients may not have read their failure yet: keep the last ones.
      const older = records.failures({ system, type, tag: pulltag }).slice(0, -MOST_FAILURES)
      for (const { key } of older) await records.remove(key)
      const failure = await records.add({ ...toStart(record), status: 'FAILURE', message, lastPull: now() })
      this.onFailure(record, failure)
      records.end(key)
      await this.remove(record)
    } catch (error) {
      // The disk may be full. The next start reads the record from disk and restarts the work.
      log.error({ err: error }, 'a failure cannot be recorded')
      records.forget(key)
    }
  }

  #addRemoval(record: ImageRecord, delay = REMOVAL_RETRY) {
    const { log } = this.#context
    const { signal } = this.#controller
    if (signal.aborted) return
    void this.#removals.add(async () => {
      try {
        await this.#removeFiles(record)
      } catch (error) {
        if (signal.aborted) return
        const what = record.id ?? 'an import'
        log.warn(`cannot remove ${what} from ${record.system} yet: ${(error as Error).message}`)
        const next = Math.min(delay * 2, LONGEST_RETRY)
        setTimeout(() => this.#addRemoval(record, next), delay).unref()
      }
    })
  }

  /** Removes the files of a record. Files that a READY record of the same image uses stay, with a new meta file. */
  async #removeFiles(record: ImageRecord) {
    const { records, platforms, mutex } = this.#context
    const { signal } = this.#controller
    await mutex.run(lockName(record.system, record.id ?? record.key), async () => {
      // A pull that ran meanwhile may have made the image READY again.
      if (records.find(record.key)?.status !== 'EXPIRING') return
      const platform = platforms.get(record.system)!
      const names = record.id === undefined ? [] : [imageFile(record), metaFile(record)]
      const current = record.id === undefined ? undefined : records.readyById(record.system, record.id)[0]
      if (current) await deliverMeta(this.#context, current, signal)
      const partials = [...names, importFile(record)].map(partialName)
      await platform.remove([...(current ? [] : names), ...partials], signal)
      await records.remove(record.key)
    })
  }

  /** Removes the files that a crash left of a record's work on this host. */
  async #sweep({ key }: ImageRecord) {
    for (const suffix of ['squashfs', 'meta', 'tree']) {
      await removeTree(join(this.#context.expand, `${key}.${suffix}`))
    }
  }
}

/** Returns a record of the same work before its start. */
function toStart({ system, type, pulltag, work, format }: ImageRecord): Omit<ImageRecord, 'key' | 'status'> {
  return { system, type, pulltag, work, format, tags: [], isPrivate: false, userACL: [], groupACL: [] }
}
