import { STATUS_CODES } from 'node:http'
import type { Exchange } from '../../http/exchange.ts'
import { HttpRequest } from '../../http/request.ts'
import { bytesResponse, jsonResponse } from '../../http/respond.ts'
import { createRouter } from '../../http/router.ts'
import type { Handler } from '../../http/server.ts'
import type { ImgapiError } from '../../images/errors.ts'
import type { ShifterContext } from './context.ts'
import { HttpError } from './errors.ts'
import { OPERATIONS } from './operations.ts'
import { renderJson } from './record.ts'
import type { Requests } from './requests.ts'
import { BadCredential, type Session } from './session.ts'

/** The HTTP side of the gateway: its paths, and answers in the form that the client of Shifter reads. */

/** Milliseconds for a body, which is a line of text. */
const BODY_TIMEOUT = 30_000

/** Makes the HTTP side of the gateway. */
export function createShifterApp(context: ShifterContext, requests: Requests): Handler {
  return createRouter({
    routes: OPERATIONS,
    logPrefix: 'Shifter.',
    async answer(operation, exchange, parameters) {
      const request = new HttpRequest(exchange, parameters)
      const system = request.param('system')
      const session = await sessionOf(exchange, system, context)
      exchange.user = session.user
      const answer = await operation.run(requests, {
        session,
        system,
        type: request.param('type'),
        tag: request.param('tag'),
        query: new URLSearchParams(request.search),
        body: () => request.readBody(BODY_TIMEOUT),
      })
      return jsonResponse(exchange, renderJson(answer))
    },
    renderError,
    changesByGet: ({ access }) => access === 'operator',
    onUnknownPath: (exchange, path) =>
      path === '/'
        ? bytesResponse(exchange, '{lookup,pull,expire,list}', 'text/plain')
        : renderError(exchange, new HttpError(404, `Requested URL ${path} not found`)),
  })
}

/** Renders an error in the original form. The details of an internal error appear in the log only. */
function renderError(exchange: Exchange, error: ImgapiError): Response {
  const { incoming } = exchange
  const reason = error instanceof HttpError ? error.reason : undefined
  const isOwn = error.status >= 500 && !(error instanceof HttpError)
  const status = isOwn ? 500 : error.status
  const message = isOwn
    ? `internal error; the log of the gateway has it under request id ${exchange.id}`
    : error.status === 405
      ? 'method not allowed'
      : error.message
  const url = `http://${incoming.headers.host ?? ''}${incoming.url ?? ''}`
  const body = { status, error: message, message: `${STATUS_CODES[status]}: ${url}`, reason }
  return jsonResponse(exchange, renderJson(body), { status, headers: error.headers })
}

/** Returns the session of a request. Throws the same HttpError for an unknown system and for bad credentials. */
async function sessionOf({ incoming }: Exchange, system: string, context: ShifterContext): Promise<Session> {
  const { authentication } = incoming.headers
  const refuse = (reason: string) => new HttpError(404, 'Bad session or system', reason)
  if (!context.platforms.has(system)) throw refuse('unknown system')
  if (typeof authentication !== 'string') throw refuse('the header "authentication" is missing')
  try {
    return await context.authenticate(authentication, system)
  } catch (error) {
    if (!(error instanceof BadCredential)) throw error
    const { remoteAddress: address } = incoming.socket
    context.log.warn({ address, system }, `credential from ${address} rejected: ${error.message}`)
    throw refuse(error.message)
  }
}
