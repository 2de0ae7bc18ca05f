import { join } from 'node:path'
import PQueue from 'p-queue'
import { type ShifterContext, turnOf } from './context.ts'
import { deliverMeta } from './deliver-meta.ts'
import { importFile, importImage } from './import.ts'
import { settleNames } from './names.ts'
import { partialName } from './platform.ts'
import { removeTree } from './programs.ts'
import { pull } from './pull.ts'
import { type ImageRecord, imageFile, isUnderWay, isWaiting, metaFile, now, type Work } from './record.ts'

/** Pulls, imports and removals: a few at once, on record, and taken up again after a restart. */

const STOPPED = new Error('the gateway is being stopped')
/** Milliseconds until a system that did not let us remove a file is asked again; doubled each time, up to the last. */
const REMOVAL_RETRY = 1000
const LONGEST_RETRY = 60_000
/** Removals at once; they have no need to hurry. */
const REMOVALS = 2
/** Pulls and imports that run or wait; a queue that nobody can outlive helps nobody. */
const MOST_AT_ONCE = 1000
/** Work that has ended the server so often is not begun once more. */
const MOST_CRASHES = 2

/** Of one name, besides the newest. */
const MOST_FAILURES = 9

export class WorkQueue {
  /** SourceFileInfo which record stands for a pull that has failed. */
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
   * Takes up what a stop or a crash interrupted. What it may have left on a system is removed; it begins anew,
   * unless it takes credentials, which only its client has: then the client's next request begins it. What was
   * running at several crashes in a row may be their cause: it fails.
   */
  async start() {
    const { records, platforms } = this.#context
    await settleNames(this.#context)
    const again = new Set<string>()
    for (const record of records.all()) {
      if (!platforms.has(record.system)) continue
      await this.#sweep(record)
      if (isUnderWay(record)) {
        const { system, type, pulltag, work } = record
        const name = JSON.stringify([system, type, pulltag])
        if (work && !work.hasCredentials && !again.has(name)) {
          again.add(name)
          await this.#resume(record, work)
        }
        await this.remove(record)
      } else if (record.status === 'EXPIRING') {
        await this.remove(record)
      }
    }
  }

  /** Begins the work that the record describes, when its turn comes. */
  add(record: ImageRecord, credentials?: string) {
    if (this.#controller.signal.aborted) return
    const run: Promise<void> = this.#run(record, credentials).finally(() => this.#running.delete(run))
    this.#running.add(run)
  }

  async #resume(record: ImageRecord, work: Work) {
    const { records, log } = this.#context
    const crashes = (work.crashes ?? 0) + (isWaiting(record) ? 0 : 1)
    if (crashes <= MOST_CRASHES) {
      this.add(await records.add({ ...toBegin(record), work: { ...work, crashes }, status: 'PENDING' }))
      return
    }
    const message = `the server ended ${crashes} times in the middle of this work: it is not taken up again`
    log.error(`image ${record.type}:${record.pulltag} for ${record.system} failed: ${message}`)
    await records.add({ ...toBegin(record), status: 'FAILURE', message, lastPull: now() })
  }

  /** Takes the files of a record away, and then the record. Resolves when that is on record. */
  async remove({ key, id, work }: ImageRecord) {
    const { records } = this.#context
    if (id === undefined && work?.filepath === undefined) return records.remove(key)
    this.#addRemoval(await records.update(key, () => ({ status: 'EXPIRING', tags: [] })))
  }

  /** Whether the file that an image was imported from is known to have been written again. */
  async isOutdated({ system, imported }: ImageRecord): Promise<boolean> {
    const { platforms } = this.#context
    const looking = platforms.get(system)!.versionOf(imported!.filepath, this.#controller.signal)
    const version = await looking.catch(() => undefined)
    return version !== undefined && version !== imported!.version
  }

  /** Stops what runs; it goes on at the next start. */
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
      else await lanes.make(signal, within => importImage(this.#context, record, within))
      log.info(`image ${name} is ready`)
    } catch (error) {
      if (signal.aborted) return await this.#putBack(record)
      log.warn({ err: error }, `image ${name} failed: ${(error as Error).message}`)
      await this.#fail(record, (error as Error).message)
    }
  }

  /** A stop is no crash. */
  async #putBack({ key }: ImageRecord) {
    const { records, log } = this.#context
    const record = records.find(key)
    if (!record || !isUnderWay(record)) return
    const putBack = records.update(key, () => ({ status: 'PENDING' }))
    await putBack.catch(error => log.warn(`the record of a pull is not up to date: ${error.message}`))
  }

  /** The reason first: then nobody finds nothing. */
  async #fail({ key }: ImageRecord, message: string) {
    const { records, log } = this.#context
    const record = records.find(key)
    // What is ready by now stays.
    if (!record || !isUnderWay(record)) return
    try {
      const { system, type, pulltag } = record
      // Others may still have to see theirs.
      const older = records.failures({ system, type, tag: pulltag }).slice(0, -MOST_FAILURES)
      for (const { key } of older) await records.remove(key)
      const failure = await records.add({ ...toBegin(record), status: 'FAILURE', message, lastPull: now() })
      this.onFailure(record, failure)
      records.end(key)
      await this.remove(record)
    } catch (error) {
      // The disk is full, perhaps. The next start finds it on disk as it was, and does it again.
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

  /** Files that another record has come to name stay, with what that one says of them. */
  async #removeFiles(record: ImageRecord) {
    const { records, platforms, turns } = this.#context
    const { signal } = this.#controller
    await turns.run(turnOf(record.system, record.id ?? record.key), async () => {
      // A pull that had found it before may have made it ready again.
      if (records.find(record.key)?.status !== 'EXPIRING') return
      const platform = platforms.get(record.system)!
      const names = record.id === undefined ? [] : [imageFile(record), metaFile(record)]
      const holder = record.id === undefined ? undefined : records.readyById(record.system, record.id)[0]
      if (holder) await deliverMeta(this.#context, holder, signal)
      const partials = [...names, importFile(record)].map(partialName)
      await platform.remove([...(holder ? [] : names), ...partials], signal)
      await records.remove(record.key)
    })
  }

  /** What a crash left of a record's work on this host. */
  async #sweep({ key }: ImageRecord) {
    for (const suffix of ['squashfs', 'meta', 'tree']) {
      await removeTree(join(this.#context.expand, `${key}.${suffix}`))
    }
  }
}

/** A record of the same work that has not begun. */
function toBegin({ system, type, pulltag, work, format }: ImageRecord): Omit<ImageRecord, 'key' | 'status'> {
  return { system, type, pulltag, work, format, tags: [], isPrivate: false, userACL: [], groupACL: [] }
}
