import type { Exchange } from '../../http/exchange.ts'
import { HttpRequest } from '../../http/request.ts'
import { jsonResponse } from '../../http/respond.ts'
import type { Access } from '../../http/router.ts'
import type { ImgapiError } from '../../images/errors.ts'
import { resolveChannel, type Viewer } from '../../images/visibility.ts'
import type { GatewayContext } from '../gateway.ts'
import type { MistifyConfig } from './config.ts'

/** A request with its caller, and the methods that make its answers. */
export class MistifyRequest extends HttpRequest {
  readonly context: GatewayContext
  readonly settings: MistifyConfig
  readonly query: URLSearchParams
  #viewer: Viewer = { authenticated: false }

  constructor(
    context: GatewayContext,
    settings: MistifyConfig,
    exchange: Exchange,
    parameters: Readonly<Record<string, string>>,
  ) {
    super(exchange, parameters)
    this.context = context
    this.settings = settings
    this.query = new URLSearchParams(this.search)
  }

  /** The id in the path; empty if the path has none. */
  get id(): string {
    return this.param('id')
  }

  get viewer(): Viewer {
    return this.#viewer
  }

  /** Authenticates and authorizes the caller. Throws UnauthorizedError. */
  async identify(access: Access) {
    const { auth, images } = this.context
    const { credentials } = this.settings
    const isOpen = credentials === 'none' || auth.isOpen
    const caller =
      credentials === 'none' ? { authenticated: true } : await auth.identify(this.exchange.incoming)
    if (caller.user) this.exchange.user = caller.user
    const isNeeded = access !== 'read' || credentials === 'all' || images.policy.anonymous === 'none'
    if (isNeeded && !caller.authenticated && !isOpen) throw auth.unauthorized()
    const channel = resolveChannel(images.policy, undefined, false)
    this.#viewer = { authenticated: caller.authenticated, channel }
  }

  body(): Promise<unknown> {
    return this.readBody(this.context.images.policy.stallTimeout)
  }

  json(value: unknown, status = 200): Response {
    return jsonResponse(this.exchange, JSON.stringify(value), { status })
  }
}

/**
 * Renders an error: for status 400 the message alone, else also the code and a trace, which names the request in the
 * log.
 */
export function renderError(exchange: Exchange, error: ImgapiError): Response {
  const { code, message, headers } = error
  const isBadRequest = code === 'InvalidParameter' || code === 'ValidationFailed'
  const status = isBadRequest ? 400 : error.status
  const stack = [`request ${exchange.id}`]
  const body = status === 400 ? { message } : { message, code: status, stack }
  return jsonResponse(exchange, JSON.stringify(body), { status, headers })
}
