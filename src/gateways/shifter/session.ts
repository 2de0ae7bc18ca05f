import { z } from 'zod'

/** The user of a request, from the credential in the header `authentication`. */
export interface Session {
  user: string
  uid?: number | undefined
  gid?: number | undefined
  tokens: Tokens
}

/** Registry logins: `user:password` by the name of a Location; `default` is for all others. */
export type Tokens = Readonly<Record<string, string>>

/** A credential that is not valid; the message is for the client. */
export class BadCredential extends Error {
  override readonly name = 'BadCredential'
}

/** Verifies a credential for a system and returns its session. Throws BadCredential. */
export type Authenticate = (credential: string, system: string) => Promise<Session>

const Payload = z.object({ authorized_locations: z.record(z.string(), z.string()).optional() })

/** Parses the payload of a credential: nothing, or JSON with registry logins. Throws BadCredential. */
export function parsePayload(text: string): Tokens {
  if (text.trim() === '') return {}
  let payload: unknown
  try {
    payload = JSON.parse(text)
  } catch {
    throw new BadCredential('the payload of the credential is not JSON')
  }
  const result = Payload.safeParse(payload)
  if (!result.success) throw new BadCredential('the payload of the credential is not valid')
  return { ...result.data.authorized_locations }
}

export const credentialsFor = (tokens: Tokens, location: string): string | undefined =>
  Object.hasOwn(tokens, location)
    ? tokens[location]
    : Object.hasOwn(tokens, 'default')
      ? tokens.default
      : undefined

const isNumber = (text: string) => /^\d{1,9}$/.test(text)

/**
 * Accepts `good:user:group[:payload[:uid:gid]]` without proof, for trials. The payload is percent-encoded,
 * because it has colons.
 */
export const authenticateMock: Authenticate = async credential => {
  const [good, user, , payload = '', uid, gid, ...rest] = credential.split(':')
  const isWhole = uid === undefined || (gid !== undefined && isNumber(uid) && isNumber(gid))
  if (good !== 'good' || !user || !isWhole || rest.length > 0 || credential.split(':').length < 3) {
    throw new BadCredential('not good:user:group[:payload[:uid:gid]]')
  }
  const tokens = parsePayload(decode(payload))
  return { user, ...(uid !== undefined && { uid: Number(uid), gid: Number(gid) }), tokens }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new BadCredential('the payload of the credential is not percent-encoded')
  }
}
