import type { IncomingMessage, ServerResponse } from 'node:http'
import { v4 } from 'uuid'

/** One request and its answer, from the first header to the last byte, as the log line reports it. */
export interface Exchange {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  /** The request id of the client, or a new one. */
  readonly id: string
  /** Value of the `Server` header. */
  readonly serverName: string
  /** `performance.now()` at the start. */
  readonly started: number
  /** The name of the operation, or of what was answered instead. */
  route: string
  user?: string
  /** Bytes of the answer's body that were sent. */
  bytes: number
  /** An error of the server, for the log. */
  error?: unknown
}

const MAX_ID_LENGTH = 256

const header = (incoming: IncomingMessage, name: string) => {
  const value = incoming.headers[name]
  return typeof value === 'string' && value !== '' ? value.slice(0, MAX_ID_LENGTH) : undefined
}

/** Creates the exchange of a request that has just arrived. */
export const beginExchange = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  serverName: string,
): Exchange => ({
  incoming,
  outgoing,
  serverName,
  id: header(incoming, 'request-id') ?? header(incoming, 'x-request-id') ?? v4(),
  started: performance.now(),
  route: 'unknown',
  bytes: 0,
})

/** Returns the whole milliseconds since the start. */
export const elapsed = ({ started }: Exchange) => Math.round(performance.now() - started)

/** Returns the path as sent, without the query and, if the client sends an absolute URL, without the host. */
export function targetPath({ url = '/' }: Pick<IncomingMessage, 'url'>): string {
  const question = url.indexOf('?')
  const sent = question === -1 ? url : url.slice(0, question)
  return sent.startsWith('/') ? sent : sent.replace(/^[a-z]+:\/\/[^/]*/i, '') || '/'
}
