import { createHmac, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import basicAuth from 'basic-auth'
import { type ImgapiError, unauthorized } from '../images/errors.ts'
import { clientAddress } from './client-address.ts'
import { LoginFailures } from './failures.ts'
import type { KeyRing } from './key-ring.ts'
import { isHashed, verifyPassword } from './password.ts'
import { PasswordChecks } from './password-checks.ts'
import { readSignature, verifySignature } from './signature.ts'

export interface User {
  name: string
  password: string
}

export interface Caller {
  /** Whether the request has valid credentials, or needs none. */
  authenticated: boolean
  user?: string
}

export interface AuthOptions {
  users: readonly User[]
  keys: KeyRing
  /** The kinds of credentials that are accepted; with `none` every client may change everything. */
  type: 'any' | 'basic' | 'signature' | 'none'
  /** Whether callers without credentials are treated as authenticated while `type` is `none`. */
  openIsAuthenticated: boolean
  /** Is called for every failed login. */
  onFailure?(address: string, user: string | undefined): void
}

/** The credentials of a request, not verified yet. */
interface Login {
  /** The name that the client gave. */
  user?: string | undefined
  /** Equal for equal passwords of a user, so that a repeated one is recognized; absent for signatures. */
  digest?: string
  /** Why they cannot be parsed, in the words of the reference. */
  message?: string | undefined
  /** Throws TooManyRequests. */
  verify(address: string): Promise<boolean>
}

const reject = async () => false

const ANONYMOUS: Caller = { authenticated: false }

/** The hash that is verified for a user that does not exist, so that the answer takes the same time. */
const DUMMY_HASH = '$scrypt$ln=15,r=8,p=3$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'

/** Authenticates requests. The users can be replaced while the server runs. */
export class Authenticator {
  #options: AuthOptions
  readonly #failures = new LoginFailures()
  readonly #checks = new PasswordChecks()
  /** Digests of passwords that were verified, by user: the slow hash is computed once per user and password. */
  readonly #verified = new Map<string, string>()
  /** Random for each process, so that digests of passwords are useless outside of it. */
  readonly #digestKey = randomBytes(32)

  constructor(options: AuthOptions) {
    this.#options = options
  }

  /** Replaces the users and their keys, and reads the key folder again. */
  setUsers(users: readonly User[], authKeys: Record<string, readonly string[]>) {
    this.#options = { ...this.#options, users }
    this.#verified.clear()
    this.#options.keys.reload(authKeys)
  }

  reloadKeys() {
    this.#options.keys.reload()
  }

  get isOpen() {
    return this.#options.type === 'none'
  }

  /**
   * Returns the error for missing and wrong credentials, the same for every reason. It names Basic where it can,
   * because browsers and curl act on it.
   */
  unauthorized(message = 'Unauthorized'): ImgapiError {
    const scheme = this.#options.type === 'signature' ? 'Signature' : 'Basic'
    return unauthorized(message, `${scheme} realm="imgapi"`)
  }

  /**
   * Returns the caller; a request without credentials has an anonymous one. Throws UnauthorizedError for wrong
   * credentials and TooManyRequests after too many failures.
   */
  async identify(incoming: IncomingMessage): Promise<Caller> {
    const { openIsAuthenticated, onFailure } = this.#options
    if (this.isOpen) return { authenticated: openIsAuthenticated }
    const { authorization } = incoming.headers
    if (authorization === undefined) return ANONYMOUS
    const login = this.#read(authorization, incoming)
    const address = clientAddress(incoming)
    const { user, digest } = login
    // A signature that cannot be parsed has no user name.
    const name = user ?? ''
    const isRepeated = digest !== undefined && this.#failures.isRepeated(address, name, digest)
    if (!isRepeated) {
      this.#failures.check(address, name)
      if (await login.verify(address)) {
        this.#failures.succeed(address, name)
        return { authenticated: true, ...(user !== undefined && { user }) }
      }
    }
    onFailure?.(incoming.socket.remoteAddress ?? 'unknown', user)
    await (isRepeated ? this.#failures.repeat() : this.#failures.add(address, name, digest))
    throw this.unauthorized(login.message)
  }

  #read(authorization: string, incoming: IncomingMessage): Login {
    const { type, keys } = this.#options
    const isBasic = /^basic(\s|$)/i.test(authorization)
    if (!isBasic && type !== 'basic') {
      const signature = readSignature(incoming)
      if (!('parsed' in signature)) return { ...signature, verify: reject }
      return { user: signature.user, verify: async () => verifySignature(signature, keys) }
    }
    const credentials = basicAuth.parse(authorization)
    if (!credentials || type === 'signature') return { user: credentials?.name, verify: reject }
    return this.#passwordLogin(credentials.name, credentials.pass)
  }

  #passwordLogin(name: string, password: string): Login {
    const user = this.#options.users.find(candidate => candidate.name === name)
    const stored = user?.password ?? this.#dummyPassword()
    const digest = createHmac('sha256', this.#digestKey)
      .update(JSON.stringify([name, password, stored]))
      .digest('base64')
    const verify = async (address: string) => {
      if (!isHashed(stored)) return (await verifyPassword(password, stored)) && user !== undefined
      if (this.#verified.get(name) === digest) return true
      const isRight = (await this.#checks.verify(address, digest, password, stored)) && user !== undefined
      // The users may have been replaced meanwhile.
      if (isRight && this.#options.users.includes(user)) this.#verified.set(name, digest)
      return isRight
    }
    return { user: name, digest, verify }
  }

  #dummyPassword() {
    return this.#options.users.some(user => isHashed(user.password)) ? DUMMY_HASH : ''
  }
}
