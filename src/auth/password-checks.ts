import { tooManyLogins } from './failures.ts'
import { verifyPassword } from './password.ts'

/** The most checks that run or wait, in all and of one address. Each takes about a tenth of a second. */
const MOST = 32
const MOST_OF_ADDRESS = 16

/**
 * Verifies passwords against slow hashes, one at a time because each needs much memory on purpose. The queue holds a
 * few seconds of work, and one address may fill half of it, so that a client that sends many logins at once does not
 * delay the others for long.
 */
export class PasswordChecks {
  #last: Promise<unknown> = Promise.resolve()
  readonly #running = new Map<string, Promise<boolean>>()
  readonly #byAddress = new Map<string, number>()

  /**
   * Returns whether the password fits the stored hash. `digest`: equal for equal checks, which then run once. Throws
   * TooManyRequests.
   */
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
