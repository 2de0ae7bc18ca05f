import { BoundedMap } from './bounded-map.ts'

/** How many failures a key may have at once, and how many are forgotten each second. */
export interface Rate {
  most: number
  perSecond: number
}

/** Counts failures by key. The count of a key goes down with time. */
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

  /** Notes one more failure and returns the count with it. */
  add(key: string): number {
    const level = this.#levelOf(key) + 1
    this.#levels.set(key, { level, at: this.#now() })
    return level
  }

  /** Seconds until there is room for one more failure; 0 if there is. */
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
