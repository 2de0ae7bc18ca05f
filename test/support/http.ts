import { type Agent, type IncomingHttpHeaders, request } from 'node:http'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** Requests with nothing added and answers with nothing decoded: where `fetch` is too helpful. */

export interface Reply {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
  /** Our end of the connection: the same for two requests that shared one. */
  localPort: number | undefined
}

export interface SendOptions {
  headers?: Record<string, string | number>
  body?: string | Uint8Array | Readable
  agent?: Agent | false
}

export function send(
  url: string,
  method: string,
  { headers = {}, body, agent = false }: SendOptions = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, agent }, incoming => {
      const chunks: Buffer[] = []
      const { statusCode: status = 0, headers } = incoming
      const { localPort } = incoming.socket
      incoming.on('data', chunk => chunks.push(chunk))
      incoming.on('end', () => resolve({ status, headers, body: Buffer.concat(chunks), localPort }))
      incoming.on('aborted', () => reject(new Error(`the answer broke off after ${status}`)))
    })
    outgoing.on('error', reject)
    if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) outgoing.end(body)
    // Once the server has answered, it need not take the rest.
    else pipeline(body, outgoing).catch(() => {})
  })
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into it in a hundred ways
export const json = (reply: Reply): any => JSON.parse(reply.body.toString())
