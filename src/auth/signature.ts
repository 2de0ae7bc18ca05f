import type { IncomingMessage } from 'node:http'
import httpSignature from 'http-signature'
import { HASH_ALGOS } from 'http-signature/lib/utils.js'
import type { KeyRing } from './key-ring.ts'

/** Seconds by which a signed date may differ from ours; an older request may be somebody's replay. */
const CLOCK_SKEW = 300

// Keys on the curve P-384 sign SHA-384 digests. What the library verifies with can do that; its own list of
// digests, from before such keys were common, leaves it out.
Object.assign(HASH_ALGOS, { sha384: true })

/** The library's errors that tell a client what is wrong with its header. */
const UNREADABLE = new Set([
  'InvalidHeaderError',
  'InvalidParamsError',
  'MissingHeaderError',
  'ExpiredRequestError',
])

type ParsedSignature = ReturnType<typeof httpSignature.parseRequest> & { keyId: string; algorithm: string }

/** A signature that can be read, of which nothing is proved yet. */
export interface Signature {
  user: string
  parsed: ParsedSignature
}

export interface Unreadable {
  /** The name that the client gave. */
  user?: string
  /** Why the header cannot be read, in the words of the reference, if it says so. */
  message?: string
}

/**
 * HTTP Signature as the reference's clients make it (draft-cavage; contract, section 3): over `date` or
 * `x-date`, with the bare user name as `keyId`.
 */
export function readSignature(incoming: IncomingMessage): Signature | Unreadable {
  const { headers } = incoming
  const signedDate = headers['x-date'] ?? headers.date
  if (typeof signedDate === 'string' && Number.isNaN(Date.parse(signedDate))) {
    return { message: 'date is not a date' }
  }
  let parsed: ParsedSignature
  try {
    // The library's types were written for its client side: here it reads what a server received.
    const request = incoming as unknown as Parameters<typeof httpSignature.parseRequest>[0]
    parsed = httpSignature.parseRequest(request, { clockSkew: CLOCK_SKEW }) as unknown as ParsedSignature
  } catch (error) {
    const { name, message } = error as Error
    // What else it may stumble over is nobody's business.
    return UNREADABLE.has(name) ? { message } : {}
  }
  const user = parsed.keyId
  if (parsed.algorithm.startsWith('HMAC-')) {
    const message = `Unauthorized ("${parsed.algorithm}" is not a supported http-signature signing algorithm)`
    return { user, message }
  }
  return { user, parsed }
}

/** Checks a signature against the keys of its user. RSA as the reference, and the ECDSA and Ed25519 keys that it refuses. */
export function verifySignature({ user, parsed }: Signature, keys: KeyRing): boolean {
  return keys.keysOf(user).some(key => {
    try {
      return httpSignature.verifySignature(parsed, key as unknown as string)
    } catch {
      return false
    }
  })
}
