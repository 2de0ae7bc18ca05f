import { createHmac, randomBytes } from 'node:crypto'
import { KeyedMutex } from '../../util/keyed-mutex.ts'
import { isAdmin, isSameAcl, mayImport, mayRead, withAsker } from './access.ts'
import type { ShifterContext } from './context.ts'
import { Refusal } from './errors.ts'
import { type ImageRequest, isTag, locate, withDefaultTag } from './image-name.ts'
import { isFormat } from './meta.ts'
import type { MetricsRow } from './metrics.ts'
import { mergeNames } from './names.ts'
import { type Acl, type ImageRecord, isUnderWay, now } from './record.ts'
import { credentialsFor, type Session } from './session.ts'
import type { WorkQueue } from './work-queue.ts'

/** What clients ask of the gateway, and the rules by which it is done. */

/** Seconds after a pull during which its image is new enough for every wish. */
const RECENT = 10
/** Seconds for which a failure is kept for people to see. */
const FAILURE_KEPT = 300

export interface ImportRequest {
  filepath: string
  format: string
}

/** What makes a request another one. */
type Wish = Partial<ImportRequest> & { credentials?: string | undefined }

export class Requests {
  readonly #context: ShifterContext
  readonly #work: WorkQueue
  readonly #turns = new KeyedMutex()
  /** What each pull was asked for with, by its record: a failure holds for the same request only. */
  readonly #marks = new Map<string, string>()
  readonly #markKey = randomBytes(32)

  constructor(context: ShifterContext, work: WorkQueue) {
    this.#context = context
    this.#work = work
    work.onFailure = (pull, failure) => {
      const mark = this.#marks.get(pull.key)
      if (mark !== undefined) this.#marks.set(failure.key, mark)
    }
  }

  async list(session: Session, system: string): Promise<ImageRecord[]> {
    const ready = this.#context.records.of(system).filter(({ status }) => status === 'READY')
    const readable = await Promise.all(ready.map(record => this.#mayRead(session, record)))
    return mergeNames(ready.filter((_, index) => readable[index]))
  }

  async lookup(session: Session, request: ImageRequest): Promise<ImageRecord | undefined> {
    const named = withDefaultTag(request, this.#context.config)
    const record = await this.#readable(session, this.#context.records.readyAll(named))
    if (!record) return undefined
    await this.#used(record)
    const row = this.#context.metrics?.add(session, named, record.id!)
    await row?.catch(error => this.#context.log.warn(`a lookup is not recorded: ${error.message}`))
    return this.#withNames(record)
  }

  /** Starts a pull, or tells how it stands. Throws Refusal. */
  async pull(session: Session, request: ImageRequest, wish: Acl): Promise<ImageRecord> {
    const { config } = this.#context
    if (request.type !== 'docker') throw new Refusal(400, 'only images of type docker can be pulled')
    const named = withDefaultTag(request, config)
    if (!isTag(named.tag)) throw new Refusal(400, 'not a name of an image')
    const acl = withAsker(wish, session)
    return this.#turns.run(nameOf(named), async () => {
      await this.#forgetOldFailures()
      const ready = this.#context.records.ready(named)
      if (ready && (await this.#mayRead(session, ready)) && !this.#isStale(ready, acl))
        return this.#withNames(ready)
      return this.#beginOnce(session, named, acl, { credentials: this.#credentials(session, named.tag) })
    })
  }

  /** Starts an import, or tells how it stands. Throws Refusal. */
  async import(
    session: Session,
    request: ImageRequest,
    wish: Acl,
    { filepath, format }: ImportRequest,
  ): Promise<ImageRecord> {
    const { config } = this.#context
    if (!mayImport(session, config)) throw new Refusal(403, 'you may not import images')
    if (!isFormat(format)) throw new Refusal(400, `"${format}" is not a format of images`)
    if (!/^\/\P{Cc}*$/u.test(filepath)) throw new Refusal(400, 'filepath must be an absolute path')
    const named = withDefaultTag(request, config)
    if (named.type === 'id' || !isTag(named.tag)) throw new Refusal(400, 'not a name of an image')
    const acl = withAsker(wish, session)
    return this.#turns.run(nameOf(named), async () => {
      const ready = await this.#readable(session, this.#context.records.readyAll(named))
      const isSame =
        ready?.imported?.filepath === filepath && ready.format === format && isSameAcl(acl, ready)
      if (isSame && !(await this.#work.isOutdated(ready))) return this.#withNames(ready)
      return this.#beginOnce(session, named, acl, { filepath, format })
    })
  }

  /** False: not for this user. Null: no such image. */
  async expire(session: Session, request: ImageRequest): Promise<boolean | null> {
    const { config, records } = this.#context
    if (!isAdmin(session, request.system, config)) return false
    const [found] = records.readyAll(withDefaultTag(request, config))
    if (!found) return null
    // The image goes, and so do all of its names.
    for (const record of records.readyById(found.system, found.id!)) await this.#work.remove(record)
    return true
  }

  /** Removes names whose time is over, and images that have no other. The ids of these. False: not for this user. */
  async autoexpire(session: Session, system: string): Promise<string[] | false> {
    const { config, records } = this.#context
    if (!isAdmin(session, system, config)) return false
    await this.#forgetOldFailures()
    const over = records
      .of(system)
      .filter(
        ({ status, expiration }) => status === 'READY' && (expiration ?? Number.POSITIVE_INFINITY) < now(),
      )
    for (const record of over) await this.#work.remove(record)
    const ids = new Set(over.map(({ id }) => id!))
    return [...ids].filter(id => records.readyById(system, id).length === 0)
  }

  /** The latest of each name. What came with credentials, and imports, are shown to those who asked for them. */
  async queue(session: Session, system: string): Promise<ImageRecord[]> {
    await this.#forgetOldFailures()
    const isOpen = isAdmin(session, system, this.#context.config)
    const shown = this.#context.records.of(system).filter(record => {
      const { status, work } = record
      if (status !== 'FAILURE' && !isUnderWay(record)) return false
      const isForAll = work !== undefined && !work.hasCredentials && work.filepath === undefined
      return isOpen || isForAll || (session.uid !== undefined && work?.uid === session.uid)
    })
    return [...new Map(shown.map(record => [nameOf({ ...record, tag: record.pulltag }), record])).values()]
  }

  /** The last lookups, for admins. */
  metrics(session: Session, system: string, limit: number): MetricsRow[] {
    const { config, metrics } = this.#context
    return isAdmin(session, system, config) ? (metrics?.last(system, limit) ?? []) : []
  }

  async #readable(session: Session, records: readonly ImageRecord[]): Promise<ImageRecord | undefined> {
    for (const record of records) if (await this.#mayRead(session, record)) return record
    return undefined
  }

  /** With its other names after its own. */
  #withNames(record: ImageRecord): ImageRecord {
    const others = this.#context.records
      .readyById(record.system, record.id!)
      .filter(one => one.key !== record.key)
    return mergeNames([record, ...others])[0]!
  }

  #mayRead(session: Session, record: ImageRecord) {
    return mayRead(session, record, this.#context.groups)
  }

  /** Whether a request for this image looks at the registry again. */
  #isStale(ready: ImageRecord, acl: Acl): boolean {
    const timeout = Math.max(this.#context.config.PullUpdateTimeout, 2)
    const age = now() - (ready.lastPull ?? 0)
    if (age > timeout) return true
    const hasWish = acl.userACL.length > 0 || acl.groupACL.length > 0
    return ready.isPrivate && hasWish && !isSameAcl(acl, ready) && age > Math.min(RECENT, timeout)
  }

  #isFresh({ lastPull = 0 }: ImageRecord) {
    return now() - lastPull < this.#context.retryAfter
  }

  #credentials({ tokens }: Session, tag: string): string | undefined {
    try {
      return credentialsFor(tokens, locate(tag, this.#context.config).location)
    } catch {
      // The pull will say what is wrong with the name.
      return undefined
    }
  }

  /** What came of the same wish a moment ago, the work on that name that is under way, or new work. */
  async #beginOnce(session: Session, request: ImageRequest, acl: Acl, wish: Wish): Promise<ImageRecord> {
    const { records } = this.#context
    const mark = this.#mark(acl, wish)
    // One from before the start is for everybody.
    const isSame = ({ key }: ImageRecord) => (this.#marks.get(key) ?? mark) === mark
    const failure = records.failures(request).findLast(one => isSame(one) && this.#isFresh(one))
    return failure ?? records.underWay(request) ?? this.#begin(session, request, acl, wish, mark)
  }

  #mark(acl: Acl, wish: Wish): string {
    return createHmac('sha256', this.#markKey)
      .update(JSON.stringify([acl, wish]))
      .digest('hex')
  }

  async #begin(
    session: Session,
    { system, type, tag }: ImageRequest,
    acl: Acl,
    { credentials, filepath, format }: Wish,
    mark: string,
  ): Promise<ImageRecord> {
    if (this.#work.isFull) throw new Refusal(503, 'too many pulls are waiting')
    const { user, uid, gid } = session
    const record = await this.#context.records.add({
      system,
      type,
      status: 'INIT',
      pulltag: tag,
      tags: [],
      format: format ?? this.#context.config.DefaultImageFormat,
      isPrivate: false,
      userACL: filepath === undefined ? [] : null,
      groupACL: filepath === undefined ? [] : null,
      work: { user, uid, gid, ...acl, hasCredentials: credentials !== undefined, filepath },
    })
    this.#marks.set(record.key, mark)
    this.#work.add(record, credentials)
    return record
  }

  /** Puts the end of an image's time off. A change of less than a hundredth is not worth a write. */
  async #used({ key, expiration }: ImageRecord) {
    const { ImageExpirationTimeout: timeout } = this.#context.config
    const next = now() + timeout
    if (expiration !== undefined && next - expiration < timeout / 100) return
    const update = this.#context.records.update(key, () => ({ expiration: next }))
    await update.catch(error =>
      this.#context.log.warn(`a lookup does not put off the expiry: ${error.message}`),
    )
  }

  async #forgetOldFailures() {
    const { records } = this.#context
    for (const { key, status, lastPull = 0 } of records.all()) {
      if (status === 'FAILURE' && now() - lastPull > FAILURE_KEPT) await records.remove(key)
    }
    for (const key of this.#marks.keys()) if (!records.find(key)) this.#marks.delete(key)
  }
}

const nameOf = ({ system, type, tag }: ImageRequest) => JSON.stringify([system, type, tag])
