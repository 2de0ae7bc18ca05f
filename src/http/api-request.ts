import type { Caller } from '../auth/authenticator.ts'
import { notFound } from '../images/errors.ts'
import { UUID } from '../images/fields.ts'
import type { Image, View } from '../images/image.ts'
import { defaultChannels, resolveChannel, type Viewer } from '../images/visibility.ts'
import { acceptsChannels } from './api-version.ts'
import { type Exchange, targetPath } from './exchange.ts'
import { Query } from './query.ts'
import type { RenderedImage } from './rendered-image.ts'
import type { Renderings } from './renderings.ts'
import { HttpRequest } from './request.ts'
import { emptyResponse, type Headers, jsonResponse, render } from './respond.ts'
import type { Access } from './router.ts'
import type { Service } from './service.ts'

const ANONYMOUS: Caller = { authenticated: false }

/** A request for an operation of the Image API, with functions that make the answer. */
export class ApiRequest extends HttpRequest {
  readonly service: Service
  readonly renderings: Renderings
  readonly query: Query
  readonly #showsChannels: boolean
  #caller = ANONYMOUS

  /** Throws InvalidVersion or BadRequestError. */
  constructor(
    service: Service,
    renderings: Renderings,
    exchange: Exchange,
    parameters: Readonly<Record<string, string>>,
  ) {
    super(exchange, parameters)
    const { incoming } = exchange
    const accepted = this.header('accept-version')
    this.service = service
    this.renderings = renderings
    this.#showsChannels = acceptsChannels(accepted, incoming.method ?? 'GET', targetPath(incoming))
    const isChange = incoming.method !== 'GET' && incoming.method !== 'HEAD'
    this.query = new Query(this.search, { isChange })
  }

  /** The caller; anonymous until `identify` has resolved. */
  get caller(): Caller {
    return this.#caller
  }

  /** Authenticates the caller and checks its access. Throws UnauthorizedError or TooManyRequests. */
  async identify(access: Access) {
    const { auth, images } = this.service
    this.#caller = await auth.identify(this.exchange.incoming)
    if (this.#caller.user) this.exchange.user = this.#caller.user
    if (this.#caller.authenticated || auth.isOpen || access === 'public') return
    if (access !== 'read' || images.policy.anonymous === 'none') throw auth.unauthorized()
  }

  /** Returns the UUID in the path. Throws ResourceNotFound if it is not one. */
  uuid(): string {
    const uuid = this.param('uuid')
    if (UUID.test(uuid)) return uuid
    throw notFound(`${this.exchange.incoming.url} does not exist`)
  }

  /**
   * Returns the account and the channel that the request is made for. `everyChannel`: whether `*` may stand for all
   * channels. Throws ValidationFailed for an unknown channel.
   */
  viewer({ everyChannel = false } = {}): Viewer {
    const { policy } = this.service.images
    return {
      authenticated: this.#caller.authenticated,
      // Clients send the parameter to every server, so a server without channels ignores it.
      channel:
        policy.channels.length > 0
          ? resolveChannel(policy, this.query.get('channel'), everyChannel)
          : undefined,
      account: this.query.get('account'),
    }
  }

  /** Returns the URL by which clients reach this server: from the config, or else from the request. */
  baseUrl(): string {
    const { incoming } = this.exchange
    const scheme = 'encrypted' in incoming.socket ? 'https' : 'http'
    return (
      this.service.publicUrl?.replace(/\/+$/, '') ?? `${scheme}://${incoming.headers.host ?? 'localhost'}`
    )
  }

  /** Reads the body as a value. Throws InvalidContent, BadDigest, PayloadTooLarge or Upload. */
  body(): Promise<unknown> {
    return this.readBody(this.service.images.policy.stallTimeout)
  }

  /** Returns which fields of an image the caller may see. Throws InvalidParameter or UnauthorizedError. */
  visibleFields(): View {
    const { policy } = this.service.images
    const { mode } = policy
    const { authenticated } = this.#caller
    const adminFields = this.query.flag('inclAdminFields') ?? false
    if (adminFields && mode !== 'dc' && !authenticated) {
      throw this.service.auth.unauthorized('Unauthorized (auth required to use "inclAdminFields" parameter)')
    }
    return {
      operatorFields: mode === 'private' || mode === 'dc' || (mode === 'standalone' && authenticated),
      channels: this.#showsChannels && policy.channels.length > 0,
      defaultChannels: defaultChannels(policy),
      adminFields,
    }
  }

  /** Returns the JSON and the ETag of a manifest as the caller may see it. */
  rendered(image: Image, fields = this.visibleFields()): RenderedImage {
    return this.renderings.image(image, fields)
  }

  /** Returns the unquoted ETag of a manifest as the caller may see it. It does not depend on the admin fields. */
  etagOf(image: Image, fields = this.visibleFields()): string {
    return this.rendered(image, fields.adminFields ? { ...fields, adminFields: false } : fields).etag
  }

  /** Answers with a value as JSON. */
  json(value: unknown, options: { status?: number; headers?: Headers } = {}): Response {
    return this.rawJson(render(value), options)
  }

  /** Answers with text that is JSON already. */
  rawJson(json: string, options: { status?: number; headers?: Headers } = {}): Response {
    return jsonResponse(this.exchange, json, options)
  }

  /** Answers with the manifest of an image and its ETag. */
  image(image: Image, fields = this.visibleFields()): Response {
    const { body, etag } = this.rendered(image, fields)
    return this.rawJson(body, { headers: { Etag: `"${etag}"` } })
  }

  /** Answers without a body. */
  empty(status: number, headers?: Headers): Response {
    return emptyResponse(this.exchange, status, headers)
  }
}
