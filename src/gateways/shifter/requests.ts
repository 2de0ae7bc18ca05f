import { createHmac, randomBytes } from 'node:crypto'
import { KeyedMutex } from '../../util/keyed-mutex.ts'
import { isAdmin, isSameAcl, mayImport, mayRead, withCaller } from './access.ts'
import type { ShifterContext } from './context.ts'
import { HttpError } from './errors.ts'
import { type ImageRequest, isTag, locate, withDefaultTag } from './image-name.ts'
import { isFormat } from './meta.ts'
import type { MetricsRow } from './metrics.ts'
import { mergeNames } from './names.ts'
import { type Acl, type ImageRecord, isUnderWay, now } from './record.ts'
import { credentialsFor, type Session } from './session.ts'
import type { WorkQueue } from './work-queue.ts'

/** The operations of the gateway and their rules. */

/** Seconds after a pull during which its image is new enough for every request. */
const RECENT = 10
/** Seconds for which a failure is listed. */
const FAILURE_KEPT = 300

export interface ImportRequest {
  filepath: string
  format: string
}

/** What distinguishes requests for the same name, besides their lists of users and groups. */
type PullOptions = Partial<ImportRequest> & { credentials?: string | undefined }

export class Requests {
  readonly #context: ShifterContext
  readonly #work: WorkQueue
  /** Locks a name while its state is checked and its work started. */
  readonly #mutex = new KeyedMutex()
  /**
   * The fingerprint of the request of each pull, by the key of its record: a failure answers the same request only.
   */
  readonly #fingerprints = new Map<string, string>()
  readonly #fingerprintKey = randomBytes(32)

  constructor(context: ShifterContext, work: WorkQueue) {
    this.#context = context
    this.#work = work
    work.onFailure = (pull, failure) => {
      const fingerprint = this.#fingerprints.get(pull.key)
      if (fingerprint !== undefined) this.#fingerprints.set(failure.key, fingerprint)
    }
  }

  /** Lists the READY images of a system that the user may read. */
  async list(session: Session, system: string): Promise<ImageRecord[]> {
    const ready = this.#context.records.of(system).filter(({ status }) => status === 'READY')
    const readable = await Promise.all(ready.map(record => this.#mayRead(session, record)))
    return mergeNames(ready.filter((_, index) => readable[index]))
  }

  /** Finds the READY image of a name and puts off its expiration. Undefined if the user may not read it. */
  async lookup(session: Session, request: ImageRequest): Promise<ImageRecord | undefined> {
    const named = withDefaultTag(request, this.#context.config)
    const record = await this.#readable(session, this.#context.records.readyAll(named))
    if (!record) return undefined
    await this.#postponeExpiration(record)
    const row = this.#context.metrics?.add(session, named, record.id!)
    await row?.catch(error => this.#context.log.warn(`a lookup is not recorded: ${error.message}`))
    return this.#withNames(record)
  }

  /** Starts a pull, or returns the record of the one that is under way, ready or failed. Throws HttpError. */
  async pull(session: Session, request: ImageRequest, requestedAcl: Acl): Promise<ImageRecord> {
    const { config } = this.#context
    if (request.type !== 'docker') throw new HttpError(400, 'only images of type docker can be pulled')
    const named = withDefaultTag(request, config)
    if (!isTag(named.tag)) throw new HttpError(400, 'not a valid image name')
    const acl = withCaller(requestedAcl, session)
    return this.#mutex.run(nameOf(named), async () => {
      await this.#forgetOldFailures()
      const ready = this.#context.records.ready(named)
      if (ready && (await this.#mayRead(session, ready)) && !this.#isStale(ready, acl))
        return this.#withNames(ready)
      return this.#startOnce(session, named, acl, { credentials: this.#credentials(session, named.tag) })
    })
  }

  /** Starts an import, or returns the record of the one that is under way, ready or failed. Throws HttpError. */
  async import(
    session: Session,
    request: ImageRequest,
    requestedAcl: Acl,
    { filepath, format }: ImportRequest,
  ): Promise<ImageRecord> {
    const { config } = this.#context
    if (!mayImport(session, config)) throw new HttpError(403, 'you may not import images')
    if (!isFormat(format)) throw new HttpError(400, `"${format}" is not an image format`)
    if (!/^\/\P{Cc}*$/u.test(filepath)) throw new HttpError(400, 'filepath must be an absolute path')
    const named = withDefaultTag(request, config)
    if (named.type === 'id' || !isTag(named.tag)) throw new HttpError(400, 'not a valid image name')
    const acl = withCaller(requestedAcl, session)
    return this.#mutex.run(nameOf(named), async () => {
      const ready = await this.#readable(session, this.#context.records.readyAll(named))
      const isSame =
        ready?.imported?.filepath === filepath && ready.format === format && isSameAcl(acl, ready)
      if (isSame && !(await this.#work.isOutdated(ready))) return this.#withNames(ready)
      return this.#startOnce(session, named, acl, { filepath, format })
    })
  }

  /** Removes an image with all of its names. Returns false if the user may not, null if there is no such image. */
  async expire(session: Session, request: ImageRequest): Promise<boolean | null> {
    const { config, records } = this.#context
    if (!isAdmin(session, request.system, config)) return false
    const [found] = records.readyAll(withDefaultTag(request, config))
    if (!found) return null
    for (const record of records.readyById(found.system, found.id!)) await this.#work.remove(record)
    return true
  }

  /**
   * Removes expired names, and the images that have no other name. Returns the ids of these images, or false if the
   * user may not.
   */
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

  /**
   * Lists the latest pull of each name. Imports and pulls with credentials are shown to their user and to admins
   * only.
   */
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

  /** Returns the last lookups to an admin, nothing to other users. */
  metrics(session: Session, system: string, limit: number): MetricsRow[] {
    const { config, metrics } = this.#context
    return isAdmin(session, system, config) ? (metrics?.last(system, limit) ?? []) : []
  }

  async #readable(session: Session, records: readonly ImageRecord[]): Promise<ImageRecord | undefined> {
    for (const record of records) if (await this.#mayRead(session, record)) return record
    return undefined
  }

  /** Returns the record with the image's other names after its own. */
  #withNames(record: ImageRecord): ImageRecord {
    const others = this.#context.records
      .readyById(record.system, record.id!)
      .filter(one => one.key !== record.key)
    return mergeNames([record, ...others])[0]!
  }

  #mayRead(session: Session, record: ImageRecord) {
    return mayRead(session, record, this.#context.groups)
  }

  /** Returns whether a request for this image asks the registry again. */
  #isStale(ready: ImageRecord, acl: Acl): boolean {
    const timeout = Math.max(this.#context.config.PullUpdateTimeout, 2)
    const age = now() - (ready.lastPull ?? 0)
    if (age > timeout) return true
    const hasAcl = acl.userACL.length > 0 || acl.groupACL.length > 0
    return ready.isPrivate && hasAcl && !isSameAcl(acl, ready) && age > Math.min(RECENT, timeout)
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

  /**
   * Returns the recent failure of the same request or the work on that name that is under way; else starts new work.
   */
  async #startOnce(
    session: Session,
    request: ImageRequest,
    acl: Acl,
    options: PullOptions,
  ): Promise<ImageRecord> {
    const { records } = this.#context
    const fingerprint = this.#fingerprint(acl, options)
    // A failure from before the start of the server has no fingerprint: it answers every request.
    const isSame = ({ key }: ImageRecord) => (this.#fingerprints.get(key) ?? fingerprint) === fingerprint
    const failure = records.failures(request).findLast(one => isSame(one) && this.#isFresh(one))
    return failure ?? records.underWay(request) ?? this.#start(session, request, acl, options, fingerprint)
  }

  /** Keyed, because the options have credentials in them. */
  #fingerprint(acl: Acl, options: PullOptions): string {
    return createHmac('sha256', this.#fingerprintKey)
      .update(JSON.stringify([acl, options]))
      .digest('hex')
  }

  async #start(
    session: Session,
    { system, type, tag }: ImageRequest,
    acl: Acl,
    { credentials, filepath, format }: PullOptions,
    fingerprint: string,
  ): Promise<ImageRecord> {
    if (this.#work.isFull) throw new HttpError(503, 'too many pulls are waiting')
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
    this.#fingerprints.set(record.key, fingerprint)
    this.#work.add(record, credentials)
    return record
  }

  /** Puts off the expiration of an image. A change of less than a hundredth is not written. */
  async #postponeExpiration({ key, expiration }: ImageRecord) {
    const { ImageExpirationTimeout: timeout } = this.#context.config
    const next = now() + timeout
    if (expiration !== undefined && next - expiration < timeout / 100) return
    const update = this.#context.records.update(key, () => ({ expiration: next }))
    await update.catch(error =>
      this.#context.log.warn(`a lookup does not postpone the expiration: ${error.message}`),
    )
  }

  async #forgetOldFailures() {
    const { records } = this.#context
    for (const { key, status, lastPull = 0 } of records.all()) {
      if (status === 'FAILURE' && now() - lastPull > FAILURE_KEPT) await records.remove(key)
    }
    for (const key of this.#fingerprints.keys()) if (!records.find(key)) this.#fingerprints.delete(key)
  }
}

const nameOf = ({ system, type, tag }: ImageRequest) => JSON.stringify([system, type, tag])
