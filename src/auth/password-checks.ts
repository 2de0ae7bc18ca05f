import { tooManyLogins } from './failures.ts'
import { verifyPassword } from './password.ts'

/** Checks that run or wait, of all addresses and of one. Each takes about a tenth of a second. */
const MOST = 32
const MOST_OF_ADDRESS = 16

/**
 * Checks passwords against slow hashes, which use much memory on purpose: one at a time. Who sends many at once must
 * not make the others wait for long, so that there is no room for more than a few seconds of work, and one address
 * gets half of it.
 */
export class PasswordChecks {
  #last: Promise<unknown> = Promise.resolve()
  readonly #running = new Map<string, Promise<boolean>>()
  readonly #byAddress = new Map<string, number>()

  /** `digest`: the same for the same check, which then runs once. Throws TooManyRequests. */
  async verify(address: string, digest: string, password: string, stored: string): Promise<boolean> {
    const running = this.#running.get(digest)
    if (running) return running
    const own = this.#byAddress.get(address) ?? 0
    if (this.#running.size >= MOST || own >= MOST_OF_ADDRESS)
      throw tooManyLogins('too many logins at once', 1)
    this.#byAddress.set(address, own + 1)
    const check = this.#last.then(() => verifyPassword(password, stored))
    this.#last = check.catch(() => {})
    this.#running.set(digest, check)
    try {
      return await check
    } finally {
      this.#running.delete(digest)
      this.#release(address)
    }
  }

  #release(address: string) {
    const left = this.#byAddress.get(address)! - 1
    if (left === 0) this.#byAddress.delete(address)
    else this.#byAddress.set(address, left)
  }
}
