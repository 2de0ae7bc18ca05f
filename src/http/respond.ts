import { hostname } from 'node:os'
import type { ImgapiError } from '../images/errors.ts'
import { type Exchange, elapsed } from './exchange.ts'

/** How answers look: the headers that all have, and JSON as the reference server writes it. */

export type Headers = Record<string, string>

const HOSTNAME = hostname()

export const commonHeaders = (exchange: Exchange, serverName: string): Headers => ({
  Server: serverName,
  'x-request-id': exchange.id,
  'x-response-time': String(elapsed(exchange)),
  'x-server-name': HOSTNAME,
})

/** Two spaces and no newline at the end. */
export const render = (value: unknown): Buffer => Buffer.from(JSON.stringify(value, null, 2))

/** An answer in JSON, with its exact length: imgadm takes no chunked bodies, and old clients no charset. */
export function jsonResponse(
  exchange: Exchange,
  serverName: string,
  body: Buffer,
  { status = 200, headers = {} }: { status?: number; headers?: Headers } = {},
): Response {
  exchange.bytes = exchange.incoming.method === 'HEAD' ? 0 : body.length
  return new Response(body as Uint8Array<ArrayBuffer>, {
    status,
    headers: {
      ...headers,
      'Content-Type': 'application/json',
      'Content-Length': String(body.length),
      ...commonHeaders(exchange, serverName),
    },
  })
}

/** Bytes of any other kind. */
export function bytesResponse(
  exchange: Exchange,
  serverName: string,
  body: Buffer,
  contentType: string,
  headers: Headers = {},
): Response {
  exchange.bytes = exchange.incoming.method === 'HEAD' ? 0 : body.length
  return new Response(body as Uint8Array<ArrayBuffer>, {
    headers: {
      ...headers,
      'Content-Type': contentType,
      'Content-Length': String(body.length),
      ...commonHeaders(exchange, serverName),
    },
  })
}

export const emptyResponse = (
  exchange: Exchange,
  serverName: string,
  status: number,
  headers: Headers = {},
): Response => new Response(null, { status, headers: { ...headers, ...commonHeaders(exchange, serverName) } })

export function errorResponse(exchange: Exchange, serverName: string, error: ImgapiError): Response {
  const { code, message, errors, status, headers } = error
  const body = render({ code, message, ...(errors && { errors }) })
  return jsonResponse(exchange, serverName, body, { status, headers })
}
