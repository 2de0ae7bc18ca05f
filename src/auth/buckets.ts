import { BoundedMap } from './bounded-map.ts'

/** The limit of a leaky bucket: its capacity in failures, and how many of them leak each second. */
export interface Rate {
  most: number
  perSecond: number
}

/** Counts failures by key, in leaky buckets: the count of a key decreases with time. */
export class Buckets {
  readonly #rate: Rate
  readonly #now: () => number
  readonly #levels = new BoundedMap<{ level: number; at: number }>()

  /** `now`: milliseconds of a clock that does not jump. */
  constructor(rate: Rate, now: () => number) {
    this.#rate = rate
    this.#now = now
  }

  get size() {
    return this.#levels.size
  }

  /** Adds a failure and returns the new count. */
  add(key: string): number {
    const level = this.#levelOf(key) + 1
    this.#levels.set(key, { level, at: this.#now() })
    return level
  }

  /** Returns the seconds until one more failure fits; 0 if it fits now. */
  waitFor(key: string): number {
    const { most, perSecond } = this.#rate
    return Math.max(0, (this.#levelOf(key) + 1 - most) / perSecond)
  }

  #levelOf(key: string): number {
    const found = this.#levels.get(key)
    if (!found) return 0
    return Math.max(0, found.level - ((this.#now() - found.at) / 1000) * this.#rate.perSecond)
  }
}
