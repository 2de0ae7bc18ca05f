import type { Context } from 'hono'
import type { Caller } from '../auth/authenticator.ts'
import { ImgapiError } from '../images/errors.ts'
import { UUID } from '../images/fields.ts'
import type { IncomingFile } from '../images/files.ts'
import type { Image, View } from '../images/image.ts'
import { defaultChannels, resolveChannel, type Viewer } from '../images/visibility.ts'
import { acceptsChannels } from './api-version.ts'
import { openBody, readBody } from './body.ts'
import type { Exchange } from './exchange.ts'
import { Query } from './query.ts'
import type { RenderedImage } from './rendered-image.ts'
import type { Renderings } from './renderings.ts'
import { emptyResponse, type Headers, jsonResponse, render } from './respond.ts'
import type { Service } from './service.ts'

export type ApiContext = Context<{ Bindings: Exchange }>

/** A request as the operations of the Image API see it, and the answers they give. */
export class ApiRequest {
  readonly service: Service
  readonly renderings: Renderings
  readonly exchange: Exchange
  readonly query: Query
  readonly #context: ApiContext
  readonly #showsChannels: boolean
  #caller: Caller = { authenticated: false }

  /** Throws InvalidVersion or BadRequestError. */
  constructor(service: Service, renderings: Renderings, context: ApiContext) {
    const { incoming } = context.env
    const url = incoming.url ?? '/'
    const question = url.indexOf('?')
    this.service = service
    this.renderings = renderings
    this.exchange = context.env
    this.#context = context
    this.#showsChannels = acceptsChannels(
      this.header('accept-version'),
      incoming.method ?? 'GET',
      context.req.path,
    )
    const isChange = incoming.method !== 'GET' && incoming.method !== 'HEAD'
    this.query = new Query(question === -1 ? '' : url.slice(question + 1), { isChange })
  }

  /** Who is asking, once that is known: see `identify`. */
  get caller(): Caller {
    return this.#caller
  }

  header(name: string): string | undefined {
    const value = this.exchange.incoming.headers[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }

  get headers() {
    return this.exchange.incoming.headers
  }

  /**
   * Who is asking. No credentials are an anonymous caller, wrong ones are refused. `isPublic`: also for those
   * who may read nothing here.
   */
  async identify({ isPublic = false } = {}): Promise<Caller> {
    const { auth, images } = this.service
    this.#caller = await auth.identify(this.exchange.incoming)
    if (this.#caller.user) this.exchange.user = this.#caller.user
    const isShutOut = images.policy.anonymous === 'none' && !this.#caller.authenticated && !auth.isOpen
    if (isShutOut && !isPublic) throw this.service.auth.unauthorized()
    return this.#caller
  }

  /** The same for what only users may do. Throws UnauthorizedError. */
  async authenticate(): Promise<Caller> {
    const caller = await this.identify()
    if (!caller.authenticated && !this.service.auth.isOpen) throw this.service.auth.unauthorized()
    return caller
  }

  /** A part of the path, decoded. */
  param(name: string): string {
    return this.#context.req.param(name) ?? ''
  }

  isUuid(text: string): boolean {
    return UUID.test(text)
  }

  /** The UUID in the path. Throws ResourceNotFound for what is none. */
  uuid(): string {
    const uuid = this.param('uuid')
    if (this.isUuid(uuid)) return uuid
    throw new ImgapiError('ResourceNotFound', `${this.exchange.incoming.url} does not exist`)
  }

  /** On whose behalf, and in which channel. Reads may name every channel with `*`. */
  viewer({ everyChannel = false } = {}): Viewer {
    const { policy } = this.service.images
    return {
      authenticated: this.#caller.authenticated,
      // Clients send the parameter to every server, so one without channels does not look at it.
      channel:
        policy.channels.length > 0
          ? resolveChannel(policy, this.query.get('channel'), everyChannel)
          : undefined,
      account: this.query.get('account'),
    }
  }

  /** How clients reach this server: as the config says, else as this one did. */
  baseUrl(): string {
    const { incoming } = this.exchange
    const scheme = 'encrypted' in incoming.socket ? 'https' : 'http'
    return (
      this.service.publicUrl?.replace(/\/+$/, '') ?? `${scheme}://${incoming.headers.host ?? 'localhost'}`
    )
  }

  body(): Promise<unknown> {
    return readBody(this.exchange, this.service.images.policy.stallTimeout)
  }

  /** A body of bytes, not asked for before it is known to be wanted. */
  file(): IncomingFile {
    const length = this.header('content-length')
    return {
      size: length === undefined ? undefined : Number(length),
      md5: this.header('content-md5'),
      open: () => openBody(this.exchange),
    }
  }

  /** What this caller sees of an image. Throws InvalidParameter or UnauthorizedError. */
  view(): View {
    const { policy } = this.service.images
    const { mode } = policy
    const adminFields = this.query.flag('inclAdminFields') ?? false
    if (adminFields && mode !== 'dc' && !this.#caller.authenticated) {
      throw this.service.auth.unauthorized('Unauthorized (auth required to use "inclAdminFields" parameter)')
    }
    return {
      operatorFields:
        mode === 'private' || mode === 'dc' || (mode === 'standalone' && this.#caller.authenticated),
      channels: this.#showsChannels && policy.channels.length > 0,
      defaultChannels: defaultChannels(policy),
      adminFields,
    }
  }

  rendered(image: Image, view = this.view()): RenderedImage {
    return this.renderings.image(image, view)
  }

  json(value: unknown, options: { status?: number; headers?: Headers } = {}): Response {
    return this.text(render(value), options)
  }

  /** JSON that is text already. */
  text(json: string, options: { status?: number; headers?: Headers } = {}): Response {
    return jsonResponse(this.exchange, this.service.serverName, json, options)
  }

  /** An image, with its ETag. */
  image(image: Image, view = this.view()): Response {
    const { body, etag } = this.rendered(image, view)
    const headers = { Etag: `"${etag}"` }
    return jsonResponse(this.exchange, this.service.serverName, body, { headers })
  }

  empty(status: number, headers?: Headers): Response {
    return emptyResponse(this.exchange, this.service.serverName, status, headers)
  }
}
