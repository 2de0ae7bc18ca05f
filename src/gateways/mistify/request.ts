import { openBody, readBody } from '../../http/body.ts'
import type { Exchange } from '../../http/exchange.ts'
import { bytesResponse, type Headers, jsonResponse } from '../../http/respond.ts'
import { ImgapiError } from '../../images/errors.ts'
import type { IncomingFile } from '../../images/files.ts'
import { resolveChannel, type Viewer } from '../../images/visibility.ts'
import type { House } from '../gateway.ts'
import type { MistifyConfig } from './config.ts'

/** A request as the operations see it, and the answers they give. */
export class MistifyRequest {
  readonly house: House
  readonly settings: MistifyConfig
  readonly exchange: Exchange
  /** The id in the path; empty where it has none. */
  readonly id: string
  readonly query: URLSearchParams
  #viewer: Viewer = { authenticated: false }

  constructor(house: House, settings: MistifyConfig, exchange: Exchange, id: string) {
    this.house = house
    this.settings = settings
    this.exchange = exchange
    this.id = id
    this.query = new URLSearchParams((exchange.incoming.url ?? '').split('?').slice(1).join('?'))
  }

  get viewer(): Viewer {
    return this.#viewer
  }

  /** Finds out who is asking. `isChange`: for what only users may do. Throws UnauthorizedError. */
  async identify(isChange: boolean) {
    const { auth, images } = this.house
    const { credentials } = this.settings
    const isOpen = credentials === 'none' || auth.isOpen
    const caller =
      credentials === 'none' ? { authenticated: true } : await auth.identify(this.exchange.incoming)
    if (caller.user) this.exchange.user = caller.user
    const isNeeded = isChange || credentials === 'all' || images.policy.anonymous === 'none'
    if (isNeeded && !caller.authenticated && !isOpen) throw auth.unauthorized()
    const channel = resolveChannel(images.policy, undefined, false)
    this.#viewer = { authenticated: caller.authenticated, channel }
  }

  header(name: string): string | undefined {
    const value = this.exchange.incoming.headers[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }

  body(): Promise<unknown> {
    return readBody(this.exchange, this.house.images.policy.stallTimeout)
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

  json(value: unknown, status = 200, headers?: Headers): Response {
    const { exchange, house } = this
    const options = { status, ...(headers && { headers }) }
    return jsonResponse(exchange, house.serverName, JSON.stringify(value), options)
  }

  redirect(location: string): Response {
    const { exchange, house } = this
    return bytesResponse(exchange, house.serverName, '', 'text/plain', { Location: location }, 301)
  }

  /** A message alone for status 400; for others also the code and a trace, which here is the request in the log. */
  error(error: ImgapiError): Response {
    const { code, message, headers } = error
    const isBadRequest = code === 'InvalidParameter' || code === 'ValidationFailed'
    const status = isBadRequest ? 400 : error.status
    const stack = [`request ${this.exchange.id}`]
    return this.json(status === 400 ? { message } : { message, code: status, stack }, status, headers)
  }
}

export const badRequest = (message: string) => new ImgapiError('BadRequestError', message)
export const notFound = (message: string) => new ImgapiError('ResourceNotFound', message)
