import { createHmac, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import basicAuth from 'basic-auth'
import { ImgapiError } from '../images/errors.ts'
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
  /** SourceFileInfo of every failed login. */
  onFailure?(address: string, user: string | undefined): void
}

/** Credentials of a request. */
interface Login {
  /** The name that the client gave. */
  user?: string | undefined
  /** Tells the same wrong password from another; absent for what is no password. */
  digest?: string
  /** Why they cannot even be read, in the words of the reference. */
  message?: string | undefined
  /** Throws TooManyRequests. */
  verify(address: string): Promise<boolean>
}

const refuse = async () => false

const ANONYMOUS: Caller = { authenticated: false }

/** Checked in place of the hash of a user who does not exist, so that the answer takes as long. */
const NOBODY = '$scrypt$ln=15,r=8,p=3$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'

/** Knows who a request comes from. The users can be exchanged while it runs. */
export class Authenticator {
  #options: AuthOptions
  readonly #failures = new LoginFailures()
  readonly #checks = new PasswordChecks()
  /** A digest of the right password of each user whose password was checked: it need not be checked again. */
  readonly #right = new Map<string, string>()
  /** Digests of passwords are of no use outside of this process. */
  readonly #digestKey = randomBytes(32)

  constructor(options: AuthOptions) {
    this.#options = options
  }

  setUsers(users: readonly User[], authKeys: Record<string, readonly string[]>) {
    this.#options = { ...this.#options, users }
    this.#right.clear()
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
    const login = this.#read(authorization, incoming)
    const address = clientAddress(incoming)
    const { user, digest } = login
    // Signatures that cannot be read have no name.
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
      if (!('parsed' in signature)) return { ...signature, verify: refuse }
      return { user: signature.user, verify: async () => verifySignature(signature, keys) }
    }
    const credentials = basicAuth.parse(authorization)
    if (!credentials || type === 'signature') return { user: credentials?.name, verify: refuse }
    return this.#passwordLogin(credentials.name, credentials.pass)
  }

  #passwordLogin(name: string, password: string): Login {
    const user = this.#options.users.find(candidate => candidate.name === name)
    const stored = user?.password ?? this.#nobody()
    const digest = createHmac('sha256', this.#digestKey)
      .update(JSON.stringify([name, password, stored]))
      .digest('base64')
    const verify = async (address: string) => {
      if (!isHashed(stored)) return (await verifyPassword(password, stored)) && user !== undefined
      if (this.#right.get(name) === digest) return true
      const isRight = (await this.#checks.verify(address, digest, password, stored)) && user !== undefined
      // The users may have been exchanged meanwhile.
      if (isRight && this.#options.users.includes(user)) this.#right.set(name, digest)
      return isRight
    }
    return { user: name, digest, verify }
  }

  #nobody() {
    return this.#options.users.some(user => isHashed(user.password)) ? NOBODY : ''
  }
}
