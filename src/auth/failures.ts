import { setTimeout } from 'node:timers/promises'
import { type ImgapiError, tooManyRequests } from '../images/errors.ts'
import { BoundedMap } from './bounded-map.ts'
import { Buckets, type Rate } from './buckets.ts'

/**
 * Limits how fast passwords can be guessed. A few failures are free, since people mistype; then each refusal is delayed
 * longer than the one before; finally logins are verified only at the rates below. Failures are counted by address and
 * name together, so that a client does not suffer from the failures of another, and by each alone, against many names
 * tried from one address and one name tried from many.
 */
export interface FailurePolicy {
  /** Failures of one name from one address. */
  pair: Rate
  /** The same for a name that has logged in from the address before: its user must not be locked out by a guesser. */
  knownPair: Rate
  /** Failures of all names from one address, and of one name from all addresses. They do not limit known pairs. */
  address: Rate
  name: Rate
  /** Failures that are not delayed: of an address and a name together, and of one of them alone. */
  free: number
  freeAlone: number
  /** The first delay, which is then doubled, and the longest; in milliseconds. */
  firstDelay: number
  longestDelay: number
}

export const POLICY: FailurePolicy = {
  pair: { most: 60, perSecond: 1 },
  knownPair: { most: 300, perSecond: 20 },
  address: { most: 200, perSecond: 5 },
  name: { most: 200, perSecond: 10 },
  free: 3,
  freeAlone: 20,
  firstDelay: 50,
  longestDelay: 1000,
}

/** How long a pair counts as known after a login, in milliseconds. */
const KNOWN = 24 * 3600 * 1000

/** The clock, which tests replace. */
export interface Clock {
  /** Milliseconds of a clock that does not jump. */
  now(): number
  sleep(milliseconds: number): Promise<unknown>
}

const CLOCK: Clock = { now: () => performance.now(), sleep: milliseconds => setTimeout(milliseconds) }

const pairOf = (address: string, name: string) => `${address} ${name}`

/** Counts failed logins and delays or refuses those that follow, as the policy says. */
export class LoginFailures {
  readonly #policy: FailurePolicy
  readonly #clock: Clock
  readonly #pairs: Buckets
  readonly #knownPairs: Buckets
  readonly #addresses: Buckets
  readonly #names: Buckets
  /** Digest of the last wrong password of each pair. A client that repeats an outdated password is not guessing. */
  readonly #lastWrong = new BoundedMap<string>()
  /** Time of the last login of each pair. Clients without a password cannot fill it. */
  readonly #known = new BoundedMap<number>()

  constructor(policy: FailurePolicy = POLICY, clock: Clock = CLOCK) {
    const buckets = (rate: Rate) => new Buckets(rate, clock.now)
    this.#policy = policy
    this.#clock = clock
    this.#pairs = buckets(policy.pair)
    this.#knownPairs = buckets(policy.knownPair)
    this.#addresses = buckets(policy.address)
    this.#names = buckets(policy.name)
  }

  /** The number of stored keys of all kinds. */
  get size() {
    const all = [this.#pairs, this.#knownPairs, this.#addresses, this.#names, this.#known, this.#lastWrong]
    return all.reduce((total, { size }) => total + size, 0)
  }

  /** Throws TooManyRequests if a login of that name from that address must not be verified now. */
  check(address: string, name: string) {
    const pair = pairOf(address, name)
    const wait = this.#isKnown(pair)
      ? this.#knownPairs.waitFor(pair)
      : Math.max(this.#pairs.waitFor(pair), this.#addresses.waitFor(address), this.#names.waitFor(name))
    if (wait > 0) throw tooManyLogins(`too many failed logins from ${address}`, wait)
  }

  /** Returns whether the last failure of that name from that address had the password with this digest. */
  isRepeated(address: string, name: string, digest: string): boolean {
    return this.#lastWrong.get(pairOf(address, name)) === digest
  }

  /** Waits until a repeated failure may be answered; it is not counted. */
  async repeat() {
    await this.#clock.sleep(this.#policy.longestDelay)
  }

  /** Counts a failure and waits until it may be answered. `digest`: of the password, if the login had one. */
  async add(address: string, name: string, digest?: string) {
    if (digest !== undefined) this.#lastWrong.set(pairOf(address, name), digest)
    const { free, freeAlone, firstDelay, longestDelay } = this.#policy
    const pair = pairOf(address, name)
    const ofPair = (this.#isKnown(pair) ? this.#knownPairs : this.#pairs).add(pair) - free
    const alone = Math.max(this.#addresses.add(address), this.#names.add(name)) - freeAlone
    const beyond = Math.ceil(Math.max(ofPair, alone))
    if (beyond > 0) await this.#clock.sleep(Math.min(longestDelay, firstDelay * 2 ** (beyond - 1)))
  }

  /** Records a successful login. */
  succeed(address: string, name: string) {
    this.#known.set(pairOf(address, name), this.#clock.now())
  }

  #isKnown(pair: string): boolean {
    const at = this.#known.get(pair)
    return at !== undefined && this.#clock.now() - at < KNOWN
  }
}

/** Returns TooManyRequests with a `Retry-After` header. `wait`: seconds. */
export function tooManyLogins(what: string, wait: number): ImgapiError {
  const seconds = Math.max(1, Math.ceil(wait))
  const message = `${what}; try again in ${seconds} second${seconds === 1 ? '' : 's'}`
  return tooManyRequests(message, seconds)
}
