import { hostname } from 'node:os'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { ImgapiError } from '../images/errors.ts'
import { type Exchange, elapsed } from './exchange.ts'
import { endAfterBody, isStillSending } from './linger.ts'

/** Writes answers: their common headers, and JSON in the format of the reference server. */

export type Headers = Record<string, string>

const HOSTNAME = hostname()

/**
 * The headers that an answer depends on. A cache must not send the answer for an operator to other clients, nor the
 * answer for one version of the API to clients of the other.
 */
export const VARY = 'Accept-Version, Authorization'

/** Returns the headers of every answer. */
export const commonHeaders = (exchange: Exchange): Headers => ({
  Server: exchange.serverName,
  'x-request-id': exchange.id,
  'x-response-time': String(elapsed(exchange)),
  'x-server-name': HOSTNAME,
  Vary: VARY,
})

/** Returns JSON in the format of the reference: indented by two spaces, without a newline at the end. */
export const render = (value: unknown): string => JSON.stringify(value, null, 2)

/**
 * Writes an answer directly to the socket. Node sends a string in one packet with the headers, which saves a third of
 * the time of a small answer.
 */
function send(exchange: Exchange, status: number, headers: Headers, body?: string | Buffer): Response {
  const { incoming, outgoing } = exchange
  outgoing.writeHead(status, headers)
  const sent = incoming.method === 'HEAD' ? undefined : body
  if (!isStillSending(exchange)) outgoing.end(sent)
  else {
    if (sent === undefined) outgoing.flushHeaders()
    else outgoing.write(sent)
    endAfterBody(exchange)
  }
  return RESPONSE_ALREADY_SENT
}

/** An answer in JSON, with its exact length: imgadm takes no chunked bodies, and old clients no charset. */
export function jsonResponse(
  exchange: Exchange,
  body: string,
  { status = 200, headers }: { status?: number; headers?: Headers } = {},
): Response {
  return bytesResponse(exchange, body, 'application/json', headers, status)
}

/** Bytes or text of any kind. */
export function bytesResponse(
  exchange: Exchange,
  body: string | Buffer,
  contentType: string,
  headers: Headers = {},
  status = 200,
): Response {
  const length = Buffer.byteLength(body)
  if (exchange.incoming.method !== 'HEAD') exchange.bytes = length
  const common = commonHeaders(exchange)
  common['Content-Type'] = contentType
  common['Content-Length'] = String(length)
  return send(exchange, status, Object.assign(common, headers), body)
}

export const emptyResponse = (exchange: Exchange, status: number, headers: Headers = {}): Response =>
  send(exchange, status, Object.assign(commonHeaders(exchange), headers))

export function errorResponse(exchange: Exchange, error: ImgapiError): Response {
  const { code, message, errors, status, headers } = error
  const body = render({ code, message, ...(errors && { errors }) })
  return jsonResponse(exchange, body, { status, headers })
}
