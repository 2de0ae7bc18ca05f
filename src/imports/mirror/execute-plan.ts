import PQueue from 'p-queue'
import type { Logger } from 'pino'
import { fullMessage } from '../../images/errors.ts'
import { readRemoteFiles } from '../../images/fetched-file.ts'
import { addImageIcon, deleteImageIcon } from '../../images/icon.ts'
import { setDisabled } from '../../images/lifecycle.ts'
import { refreshImage } from '../../images/refresh.ts'
import { deleteImage } from '../../images/remove.ts'
import { operator } from '../../images/visibility.ts'
import { SourceError } from '../../sources/http-client.ts'
import type { Manifest } from '../../sources/imgapi/reader.ts'
import type { ImgapiSource } from '../../sources/imgapi/source.ts'
import { type ImportContext, importImageFrom } from '../jobs/import-image.ts'
import type { Local, Upstream } from './action.ts'
import { asMirrored, type Plan } from './plan.ts'
import type { Action } from './status.ts'

/** Executes a plan, a few images at a time, and records each step when it is done. */

export interface RunContext extends ImportContext {
  source: ImgapiSource
  /** Images that are imported concurrently. */
  concurrency: number
  channel?: string | undefined
  log: Logger
  /** Updated during the run. */
  transfers: Transfers
  signal: AbortSignal
  /** Called when the record of the plan has changed. */
  onChange(): void
}

/** The images whose files are being fetched. */
export type Transfers = Map<string, { name: string; bytes_done: number; bytes_expected: number }>

/** An action with its result. */
export type Done = Action & Required<Pick<Action, 'result'>>

/** Failures of the source in a row after which it counts as down, and the rest is left to the next run. */
const MOST_FAILURES = 3

/**
 * Executes a plan and appends each result to `done`. Rejects with the cause if the source is down, or with the reason of
 * the signal.
 */
export async function executePlan(
  tools: RunContext,
  upstream: Upstream,
  local: Local,
  plan: Plan,
  done: Done[],
) {
  const giveUp = new AbortController()
  const signal = AbortSignal.any([tools.signal, giveUp.signal])
  let failures = 0
  const attempt = async (action: Action, work: () => Promise<unknown>): Promise<boolean> => {
    signal.throwIfAborted()
    try {
      await work()
      tools.onChange()
      failures = 0
      done.push({ ...action, result: 'done' })
      return true
    } catch (error) {
      signal.throwIfAborted()
      const message = fullMessage(error as Error)
      done.push({ ...action, result: 'failed', error: message })
      tools.log.warn(
        { image: action.uuid, err: error },
        `mirror: ${action.action} of ${action.uuid}: ${message}`,
      )
      failures = isSourceDown(error) ? failures + 1 : 0
      if (failures === MOST_FAILURES) giveUp.abort(error)
      return false
    }
  }
  const inOrder = async (kind: Action['action'], work: (action: Action) => Promise<unknown>) => {
    for (const action of plan.actions.filter(candidate => candidate.action === kind)) {
      await attempt(action, () => work(action))
    }
  }
  for (const action of plan.actions) if (action.action === 'skip') done.push({ ...action, result: 'skipped' })
  const run = new Steps({ ...tools, signal }, upstream, plan)
  await inOrder('update', action => run.update(action))
  await inOrder('disable', action => run.disable(action))
  await importAll(tools.concurrency, upstream, plan, attempt, (action, hasOrigin) =>
    run.import(action, hasOrigin, local.has(action.uuid)),
  )
  await inOrder('delete', action => run.remove(action))
}

/** Imports the images of the plan. An image is queued when the import of its origin has ended. */
async function importAll(
  concurrency: number,
  { images }: Upstream,
  { actions }: Plan,
  attempt: (action: Action, work: () => Promise<unknown>) => Promise<boolean>,
  importOne: (action: Action, hasOrigin: boolean) => Promise<void>,
) {
  const queue = new PQueue({ concurrency })
  const imports = new Map<unknown, Promise<boolean>>()
  const importAfter = async (action: Action, origin: Promise<boolean> | undefined): Promise<boolean> => {
    const hasOrigin = (await origin) ?? true
    let isHere = false
    await queue.add(async () => {
      isHere = await attempt(action, () => importOne(action, hasOrigin))
    })
    return isHere
  }
  for (const action of actions.filter(candidate => candidate.action === 'import')) {
    imports.set(action.uuid, importAfter(action, imports.get(images.get(action.uuid)?.origin)))
  }
  const settled = await Promise.allSettled(imports.values())
  for (const one of settled) if (one.status === 'rejected') throw one.reason
}

class Steps {
  readonly #tools: RunContext
  readonly #upstream: Upstream
  readonly #plan: Plan

  constructor(tools: RunContext, upstream: Upstream, plan: Plan) {
    this.#tools = tools
    this.#upstream = upstream
    this.#plan = plan
  }

  async import(action: Action, hasOrigin: boolean, isBegun: boolean) {
    if (!hasOrigin) throw new Error('its origin could not be imported')
    const { images, source, channel, signal, log, transfers } = this.#tools
    const { uuid } = action
    const manifest = this.#manifest(uuid)
    const files = readRemoteFiles(images, manifest)
    const transfer = {
      name: `${action.name} ${action.version}`,
      bytes_done: 0,
      bytes_expected: action.size ?? 0,
    }
    transfers.set(uuid, transfer)
    const isNew = await importImageFrom(this.#tools, source, {
      ...{ uuid, manifest, files, channel, signal },
      isOurs: isBegun,
      onProgress: bytes => {
        transfer.bytes_done = bytes
      },
      onRetry: error => log.warn({ image: uuid }, `mirror: ${error.message}; retrying`),
    }).finally(() => transfers.delete(uuid))
    const { record } = this.#plan
    record.making = record.making.filter(other => other !== uuid)
    // A job may have imported the image meanwhile; then the mirror does not manage it.
    if (!isNew) return
    record.images[uuid] = asMirrored(manifest, false)
    if (manifest.icon !== true) return
    // Import the image even if its icon fails; the next run retries that.
    await this.#importIcon(uuid, manifest).catch(error => {
      signal.throwIfAborted()
      log.warn(
        { image: uuid, err: error },
        `mirror: the icon of ${uuid} was not imported: ${(error as Error).message}`,
      )
    })
  }

  async update({ uuid, fields = [] }: Action) {
    const { images } = this.#tools
    const manifest = this.#manifest(uuid)
    const { record } = this.#plan
    if (fields.some(field => field !== 'icon' && field !== 'disabled'))
      await refreshImage(images, uuid, manifest)
    if (fields.includes('disabled')) {
      await setDisabled(images, uuid, asMirrored(manifest, false).disabled)
    }
    const hadIcon = record.images[uuid]?.icon ?? false
    record.images[uuid] = asMirrored(manifest, hadIcon)
    if (fields.includes('icon')) await this.#importIcon(uuid, manifest)
  }

  async disable({ uuid }: Action) {
    await setDisabled(this.#tools.images, uuid, true)
    Object.assign(this.#plan.record.images[uuid]!, { gone: true })
  }

  async remove({ uuid }: Action) {
    const { record } = this.#plan
    await deleteImage(this.#tools.images, uuid, operator(), true)
    delete record.images[uuid]
    record.making = record.making.filter(other => other !== uuid)
  }

  #manifest(uuid: string): Manifest {
    return this.#upstream.images.get(uuid)!
  }

  async #importIcon(uuid: string, manifest: Manifest) {
    const { images, client, source, signal } = this.#tools
    const known = this.#plan.record.images[uuid]!
    if (manifest.icon !== true) {
      const found = await images.manifests.find(uuid)
      if (found?.image.icon) await deleteImageIcon(images, uuid)
      known.icon = false
      return
    }
    const { status, headers, body } = await client.get(source.iconUrl(uuid), {}, signal)
    try {
      if (status !== 200) throw new SourceError(`HTTP ${status}`, { status })
      const contentType = headers['content-type']
      const options = { contentType: typeof contentType === 'string' ? contentType : undefined }
      await addImageIcon(images, uuid, operator(), options, { open: () => body })
      known.icon = true
    } finally {
      body.destroy()
    }
  }
}

function isSourceDown(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof SourceError) return cause.isTemporary
  }
  return false
}
