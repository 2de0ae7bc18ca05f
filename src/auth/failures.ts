import { setTimeout } from 'node:timers/promises'
import { ImgapiError } from '../images/errors.ts'
import { BoundedMap } from './bounded-map.ts'
import { Buckets, type Rate } from './buckets.ts'

/**
 * Limits how fast passwords can be guessed. A few failures are free, since people mistype; then each refusal takes
 * longer; at last no more logins are looked at than the rates below allow. Failures are counted by address and name
 * together, so that one client's failures are not another's, and by each of them alone, for many names tried from one
 * address and one name from many.
 */
export interface FailurePolicy {
  /** Logins that are looked at and fail. */
  pair: Rate
  /** The same for a name that has logged in from the address before: its owner must get in beside a guesser. */
  knownPair: Rate
  /** Of all names from one address, and of one name from all addresses, without the known pairs. */
  address: Rate
  name: Rate
  /** Failures without a delay: of an address and a name together, and of one of them alone. */
  free: number
  freeAlone: number
  /** Milliseconds: the first delay (then doubled), and the longest. */
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

/** Milliseconds for which a pair counts as known after a login. */
const KNOWN = 24 * 3600 * 1000

/** What a test replaces. */
export interface Clock {
  /** Milliseconds of a clock that does not jump. */
  now(): number
  sleep(milliseconds: number): Promise<unknown>
}

const CLOCK: Clock = { now: () => performance.now(), sleep: milliseconds => setTimeout(milliseconds) }

const pairOf = (address: string, name: string) => `${address} ${name}`

export class LoginFailures {
  readonly #policy: FailurePolicy
  readonly #clock: Clock
  readonly #pairs: Buckets
  readonly #knownPairs: Buckets
  readonly #addresses: Buckets
  readonly #names: Buckets
  /** The last wrong password of each pair: the same one again, from a client with an old one, is no guess. */
  readonly #lastWrong = new BoundedMap<string>()
  /** When each pair logged in last. Clients cannot fill it without a password. */
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

  /** How many keys are remembered, of all kinds. */
  get size() {
    const all = [this.#pairs, this.#knownPairs, this.#addresses, this.#names, this.#known, this.#lastWrong]
    return all.reduce((total, { size }) => total + size, 0)
  }

  /** Throws TooManyRequests if no login of that name from that address is to be looked at now. */
  check(address: string, name: string) {
    const pair = pairOf(address, name)
    const wait = this.#isKnown(pair)
      ? this.#knownPairs.waitFor(pair)
      : Math.max(this.#pairs.waitFor(pair), this.#addresses.waitFor(address), this.#names.waitFor(name))
    if (wait > 0) throw tooManyLogins(`too many failed logins from ${address}`, wait)
  }

  /** Whether the last failure of that name from that address was with this password, of which `digest` is made. */
  isRepeated(address: string, name: string, digest: string): boolean {
    return this.#lastWrong.get(pairOf(address, name)) === digest
  }

  /** Resolves when a repeated failure may be answered. */
  async repeat() {
    await this.#clock.sleep(this.#policy.longestDelay)
  }

  /** Notes a failure and resolves when it may be answered. `digest`: of the password, if there was one. */
  async add(address: string, name: string, digest?: string) {
    if (digest !== undefined) this.#lastWrong.set(pairOf(address, name), digest)
    const { free, freeAlone, firstDelay, longestDelay } = this.#policy
    const pair = pairOf(address, name)
    const ofPair = (this.#isKnown(pair) ? this.#knownPairs : this.#pairs).add(pair) - free
    const alone = Math.max(this.#addresses.add(address), this.#names.add(name)) - freeAlone
    const beyond = Math.ceil(Math.max(ofPair, alone))
    if (beyond > 0) await this.#clock.sleep(Math.min(longestDelay, firstDelay * 2 ** (beyond - 1)))
  }

  /** Notes a login that was right. */
  succeed(address: string, name: string) {
    this.#known.set(pairOf(address, name), this.#clock.now())
  }

  #isKnown(pair: string): boolean {
    const at = this.#known.get(pair)
    return at !== undefined && this.#clock.now() - at < KNOWN
  }
}

/** `wait`: seconds. */
export function tooManyLogins(what: string, wait: number): ImgapiError {
  const seconds = Math.max(1, Math.ceil(wait))
  const message = `${what}; try again in ${seconds} second${seconds === 1 ? '' : 's'}`
  return new ImgapiError('TooManyRequests', message, { headers: { 'Retry-After': String(seconds) } })
}
