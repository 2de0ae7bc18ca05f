import type { IncomingMessage, ServerResponse } from 'node:http'
import { v4 } from 'uuid'

/** One request and its answer, from the first header to the last byte: what the log line tells. */
export interface Exchange {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  /** The client's own request id if it sent one. */
  readonly id: string
  /** Value of the `Server` header. */
  readonly serverName: string
  /** `performance.now()` when it began. */
  readonly started: number
  /** The operation's name in the Image API, or what stands for it. */
  route: string
  user?: string
  /** Bytes of the body sent. */
  bytes: number
  /** An error that was not the client's, for the log. */
  error?: unknown
}

const MAX_ID_LENGTH = 256

const header = (incoming: IncomingMessage, name: string) => {
  const value = incoming.headers[name]
  return typeof value === 'string' && value !== '' ? value.slice(0, MAX_ID_LENGTH) : undefined
}

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

/** Whole milliseconds since it began. */
export const elapsed = ({ started }: Exchange) => Math.round(performance.now() - started)

/** The path as it was sent, without the query and, where a proxy's client sends the whole URL, without the host. */
export function targetPath({ url = '/' }: Pick<IncomingMessage, 'url'>): string {
  const question = url.indexOf('?')
  const sent = question === -1 ? url : url.slice(0, question)
  return sent.startsWith('/') ? sent : sent.replace(/^[a-z]+:\/\/[^/]*/i, '') || '/'
}
