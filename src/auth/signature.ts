import type { IncomingMessage } from 'node:http'
import httpSignature from 'http-signature'
import { HASH_ALGOS } from 'http-signature/lib/utils.js'
import type { KeyRing } from './key-ring.ts'

/** How far a signed date may be from the server's clock, in seconds. An older request may be a replay. */
const CLOCK_SKEW = 300

// Keys on the curve P-384 sign SHA-384 digests. The library can verify them, but its list of digests lacks SHA-384.
Object.assign(HASH_ALGOS, { sha384: true })

/** The library's errors whose message helps the client to correct its header. */
const UNREADABLE = new Set([
  'InvalidHeaderError',
  'InvalidParamsError',
  'MissingHeaderError',
  'ExpiredRequestError',
])

type ParsedSignature = ReturnType<typeof httpSignature.parseRequest> & { keyId: string; algorithm: string }

/** A parsed signature that is not verified yet. */
export interface Signature {
  user: string
  parsed: ParsedSignature
}

/** A signature that cannot be parsed. */
export interface Unreadable {
  /** The name that the client gave. */
  user?: string
  /** The reason in the words of the reference, if the reference gives one. */
  message?: string
}

/**
 * Parses the HTTP signature of a request as clients of the reference make it (draft-cavage; contract, section 3): over
 * `date` or `x-date`, with the plain user name as `keyId`.
 */
export function readSignature(incoming: IncomingMessage): Signature | Unreadable {
  const { headers } = incoming
  const signedDate = headers['x-date'] ?? headers.date
  if (typeof signedDate === 'string' && Number.isNaN(Date.parse(signedDate))) {
    return { message: 'date is not a date' }
  }
  let parsed: ParsedSignature
  try {
    // The library's types describe its client side only; on the server it reads an incoming message.
    const request = incoming as unknown as Parameters<typeof httpSignature.parseRequest>[0]
    parsed = httpSignature.parseRequest(request, { clockSkew: CLOCK_SKEW }) as unknown as ParsedSignature
  } catch (error) {
    const { name, message } = error as Error
    // Do not reveal other parser errors to the client.
    return UNREADABLE.has(name) ? { message } : {}
  }
  const user = parsed.keyId
  if (parsed.algorithm.startsWith('HMAC-')) {
    const message = `Unauthorized ("${parsed.algorithm}" is not a supported http-signature signing algorithm)`
    return { user, message }
  }
  return { user, parsed }
}

/** Verifies a signature with the keys of its user: RSA as in the reference, and ECDSA and Ed25519, which it refuses. */
export function verifySignature({ user, parsed }: Signature, keys: KeyRing): boolean {
  return keys.keysOf(user).some(key => {
    try {
      return httpSignature.verifySignature(parsed, key as unknown as string)
    } catch {
      return false
    }
  })
}
