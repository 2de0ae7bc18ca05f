import { setTimeout as sleep } from 'node:timers/promises'
import { ImgapiError } from '../images/errors.ts'

/**
 * Slows down whoever guesses passwords. A few failures are free, since people mistype; then each answer takes
 * longer, and at last an address is not listened to for a while, right or wrong.
 */
export interface FailurePolicy {
  /** Failures without any delay. */
  free: number
  /** Failures after which the address has to wait. */
  most: number
  /** Milliseconds: the first delay (then doubled), the longest, and how long the address is shut out. */
  firstDelay: number
  longestDelay: number
  lockout: number
}

const POLICY: FailurePolicy = { free: 3, most: 20, firstDelay: 50, longestDelay: 1000, lockout: 60_000 }

/** Addresses to remember; beyond that the oldest is forgotten, so that memory has a bound. */
const MOST_ADDRESSES = 10_000

export class LoginFailures {
  readonly #policy: FailurePolicy
  readonly #byAddress = new Map<string, { count: number; until: number }>()

  constructor(policy: FailurePolicy = POLICY) {
    this.#policy = policy
  }

  /** Throws TooManyRequests while the address is shut out. */
  check(address: string) {
    const failures = this.#byAddress.get(address)
    if (!failures || failures.count < this.#policy.most) return
    const seconds = Math.ceil((failures.until - Date.now()) / 1000)
    if (seconds <= 0) {
      this.#byAddress.delete(address)
      return
    }
    const message = `too many failed logins from ${address}; try again in ${seconds} seconds`
    throw new ImgapiError('TooManyRequests', message, { headers: { 'Retry-After': String(seconds) } })
  }

  /** Notes a failure and resolves when it may be answered. */
  async add(address: string) {
    const { free, firstDelay, longestDelay, lockout } = this.#policy
    const count = (this.#byAddress.get(address)?.count ?? 0) + 1
    this.#byAddress.delete(address)
    this.#byAddress.set(address, { count, until: Date.now() + lockout })
    if (this.#byAddress.size > MOST_ADDRESSES) {
      this.#byAddress.delete(this.#byAddress.keys().next().value as string)
    }
    if (count > free) await sleep(Math.min(longestDelay, firstDelay * 2 ** (count - free - 1)))
  }

  clear(address: string) {
    this.#byAddress.delete(address)
  }
}
