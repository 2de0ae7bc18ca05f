import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import basicAuth from 'basic-auth'
import { ImgapiError } from '../images/errors.ts'
import { LoginFailures } from './failures.ts'
import type { KeyRing } from './key-ring.ts'
import { isHashed, verifyPassword } from './password.ts'
import { type Verdict, verifySignature } from './signature.ts'

export interface User {
  name: string
  password: string
}

export interface Caller {
  /** Came with valid credentials, or none are needed. */
  authenticated: boolean
  user?: string
}

export interface AuthOptions {
  users: readonly User[]
  keys: KeyRing
  /** What credentials count; `none` lets everyone change everything. */
  type: 'any' | 'basic' | 'signature' | 'none'
  /** Whether being let in without credentials also shows what only the authenticated see. */
  openIsAuthenticated: boolean
  /** Told of every failed login. */
  onFailure?(address: string, user: string | undefined): void
}

const ANONYMOUS: Caller = { authenticated: false }

/** How long a password that was checked against a slow hash need not be checked again. */
const REMEMBERED = 60_000
/** Checked in place of the hash of a user who does not exist, so that the answer takes as long. */
const NOBODY = '$scrypt$ln=15,r=8,p=3$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'

/** Knows who a request comes from. The users can be exchanged while it runs. */
export class Authenticator {
  #options: AuthOptions
  readonly #failures = new LoginFailures()
  readonly #remembered = new Map<string, number>()
  /** Slow hashes use much memory on purpose: one at a time. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: AuthOptions) {
    this.#options = options
  }

  setUsers(users: readonly User[], authKeys: Record<string, readonly string[]>) {
    this.#options = { ...this.#options, users }
    this.#remembered.clear()
    this.#options.keys.reload(authKeys)
  }

  reloadKeys() {
    this.#options.keys.reload()
  }

  get isOpen() {
    return this.#options.type === 'none'
  }

  /** One answer for every reason. Basic is named because browsers and curl act on it. */
  unauthorized(message = 'Unauthorized'): ImgapiError {
    const scheme = this.#options.type === 'signature' ? 'Signature' : 'Basic'
    return new ImgapiError('UnauthorizedError', message, {
      headers: { 'WWW-Authenticate': `${scheme} realm="imgapi"` },
    })
  }

  /** No credentials are an anonymous caller, wrong ones an error. Throws UnauthorizedError. */
  async identify(incoming: IncomingMessage): Promise<Caller> {
    const { openIsAuthenticated, onFailure } = this.#options
    if (this.isOpen) return { authenticated: openIsAuthenticated }
    const { authorization } = incoming.headers
    if (authorization === undefined) return ANONYMOUS
    const address = incoming.socket.remoteAddress ?? 'unknown'
    this.#failures.check(address)
    const { user, isValid, message } = await this.#verify(authorization, incoming)
    if (isValid) {
      this.#failures.clear(address)
      return { authenticated: true, ...(user !== undefined && { user }) }
    }
    onFailure?.(address, user)
    await this.#failures.add(address)
    throw this.unauthorized(message)
  }

  async #verify(authorization: string, incoming: IncomingMessage): Promise<Verdict> {
    const { type, keys } = this.#options
    const isBasic = /^basic(\s|$)/i.test(authorization)
    if (!isBasic && type !== 'basic') return verifySignature(incoming, keys)
    const credentials = basicAuth.parse(authorization)
    if (!credentials || type === 'signature') return { isValid: false, user: credentials?.name }
    return { user: credentials.name, isValid: await this.#isValid(credentials.name, credentials.pass) }
  }

  async #isValid(name: string, password: string): Promise<boolean> {
    const user = this.#options.users.find(candidate => candidate.name === name)
    const stored = user?.password ?? this.#nobody()
    if (!isHashed(stored)) {
      const isRight = await verifyPassword(password, stored)
      return isRight && user !== undefined
    }
    const key = createHash('sha256')
      .update(JSON.stringify([name, password, stored]))
      .digest('hex')
    if ((this.#remembered.get(key) ?? 0) > Date.now()) return true
    const check = this.#last.then(() => verifyPassword(password, stored))
    this.#last = check.catch(() => {})
    const isRight = (await check) && user !== undefined
    if (isRight) this.#remembered.set(key, Date.now() + REMEMBERED)
    return isRight
  }

  #nobody() {
    return this.#options.users.some(user => isHashed(user.password)) ? NOBODY : ''
  }
}
