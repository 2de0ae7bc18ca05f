import { notFound, remoteSourceError } from '../../images/errors.ts'
import { resolveChannel } from '../../images/visibility.ts'
import { withoutCredentials } from '../../sources/http-client.ts'
import { Mirror, type MirrorContext } from './mirror.ts'
import type { MirrorSettings } from './settings.ts'
import type { MirrorPlan, MirrorStatus } from './status.ts'

/** All mirrors of a server. They own the HTTP client and close it. */
export class Mirrors {
  readonly #mirrors: readonly Mirror[]
  readonly #context: MirrorContext

  /** Throws ValidationFailed for a channel that the server does not have. */
  constructor(settings: readonly MirrorSettings[], context: MirrorContext) {
    this.#context = context
    this.#mirrors = settings.map(one => {
      const channel = resolveChannel(context.images.policy, one.channel, false)
      return new Mirror(one, channel, context)
    })
  }

  /** Reads the records. Throws OperatorError if one cannot be read. */
  async load() {
    for (const mirror of this.#mirrors) await mirror.load()
  }

  /** Starts the scheduled runs. */
  start() {
    for (const mirror of this.#mirrors) mirror.start()
  }

  /** Returns whether a mirror imports that image, or did when the server stopped. */
  isImporting(uuid: string): boolean {
    return this.#mirrors.some(mirror => mirror.isImporting(uuid))
  }

  /**
   * Starts a run of all mirrors, or of the one of `source`. Resolves when they are over. Throws ResourceNotFound.
   */
  async run(source?: string): Promise<void> {
    await Promise.all(this.#chosen(source).map(mirror => mirror.run()))
  }

  /** Returns what runs would do now. Throws RemoteSourceError, ResourceNotFound. */
  async plan(source?: string): Promise<MirrorPlan[]> {
    return Promise.all(
      this.#chosen(source).map(async mirror => {
        const { actions } = await mirror.plan().catch(error => {
          throw remoteSourceError((error as Error).message, error)
        })
        return { source: mirror.label, actions }
      }),
    )
  }

  describe(options: { actions?: boolean; source?: string | undefined } = {}): MirrorStatus[] {
    return this.#chosen(options.source).map(mirror => mirror.describe(options))
  }

  async close() {
    await Promise.all(this.#mirrors.map(mirror => mirror.close()))
    await this.#context.client.close()
  }

  /** Throws ResourceNotFound. */
  #chosen(source: string | undefined): readonly Mirror[] {
    if (source === undefined) return this.#mirrors
    const label = URL.canParse(source) ? withoutCredentials(new URL(source)) : source
    const found = this.#mirrors.filter(mirror => mirror.label === label)
    if (found.length === 0) throw notFound(`no mirror of ${label} is configured`)
    return found
  }
}
