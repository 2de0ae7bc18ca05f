import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

/**
 * Passwords in the config: in plain text, as in the predecessor, or as a scrypt hash in the PHC string format,
 * `$scrypt$ln=15,r=8,p=3$SALT$HASH`. The parameters are those that OWASP recommends for 32 MiB of memory.
 */

const derive = promisify<Buffer | string, Buffer, number, import('node:crypto').ScryptOptions, Buffer>(scrypt)

const LN = 15
const R = 8
const P = 3
const LENGTH = 32

const PHC = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/

const options = (ln: number, r: number, p: number) => ({
  N: 2 ** ln,
  r,
  p,
  maxmem: 256 * 2 ** ln * r + 2 ** 20,
})

const unpadded = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')

/** Returns a hash for `userdb`, with a random salt. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const hash = await derive(password, salt, LENGTH, options(LN, R, P))
  return `$scrypt$ln=${LN},r=${R},p=${P}$${unpadded(salt)}$${unpadded(hash)}`
}

/** Returns whether a password of `userdb` is a hash. */
export const isHashed = (stored: string) => PHC.test(stored)

/** Compares a password with one of `userdb`, in constant time whatever the lengths. */
export async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const match = PHC.exec(stored)
  if (!match) return timingSafeEqual(digest(password), digest(stored))
  const [ln, r, p] = match.slice(1, 4).map(Number) as [number, number, number]
  const salt = Buffer.from(match[4]!, 'base64')
  const expected = Buffer.from(match[5]!, 'base64')
  const actual = await derive(password, salt, expected.length, options(ln, r, p))
  return timingSafeEqual(actual, expected)
}

const digest = (text: string) => createHash('sha256').update(text).digest()
