import type { Exchange } from './exchange.ts'

/**
 * Answers that come before the request's body has. A connection that is closed while bytes arrive is reset, and
 * a reset takes the answer away from a client that writes all it has before it reads.
 */

/** Milliseconds for which the rest of a refused body is read and dropped. */
const LINGER = 2000

/** Whether the client is still sending, or about to. One that waits for a go-ahead it did not get sends nothing. */
export function isStillSending({ incoming }: Exchange): boolean {
  if (incoming.complete || incoming.destroyed) return false
  const { 'content-length': length = '0', 'transfer-encoding': encoding, expect } = incoming.headers
  const hasBody = length !== '0' || encoding !== undefined
  return hasBody && (expect === undefined || incoming.readableDidRead)
}

/** Ends an answer whose bytes are all written when the body is in, or when that takes too long. */
export function endAfterBody({ incoming, outgoing }: Exchange) {
  const finish = () => {
    clearTimeout(timer)
    incoming.off('end', finish).off('close', finish)
    outgoing.end()
  }
  const timer = setTimeout(finish, LINGER)
  incoming.on('end', finish).on('close', finish)
  incoming.resume()
}
