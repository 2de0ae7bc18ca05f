import type { Exchange } from './exchange.ts'

/**
 * Answers that are sent before the body of the request has arrived. Closing a connection while bytes arrive resets it,
 * and a client that writes its whole body before it reads then loses the answer.
 */

/** How long the rest of a refused body is read and discarded, in milliseconds. */
const LINGER = 2000

/** Returns whether the client is sending its body. A client that waits for `100 Continue` and has not got it is not. */
export function isStillSending({ incoming }: Exchange): boolean {
  if (incoming.complete || incoming.destroyed) return false
  const { 'content-length': length = '0', 'transfer-encoding': encoding, expect } = incoming.headers
  const hasBody = length !== '0' || encoding !== undefined
  return hasBody && (expect === undefined || incoming.readableDidRead)
}

/** Ends an answer whose bytes are written, after the whole body has arrived or the time is over. */
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
