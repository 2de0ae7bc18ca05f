/** The most entries of a map. */
const MOST = 10_000
/** The longest key, in characters. Longer ones come from attackers only, and are truncated. */
const LONGEST_KEY = 300

/**
 * A map that evicts its oldest entries, so that its memory is bounded whatever clients send. It has two halves: when
 * the younger half is full it replaces the older half, which is discarded as a whole.
 */
export class BoundedMap<T> {
  #young = new Map<string, T>()
  #old = new Map<string, T>()

  get size() {
    return this.#young.size + this.#old.size
  }

  get(key: string): T | undefined {
    const short = shorten(key)
    return this.#young.get(short) ?? this.#old.get(short)
  }

  set(key: string, value: T) {
    this.#young.set(shorten(key), value)
    if (this.#young.size < MOST / 2) return
    this.#old = this.#young
    this.#young = new Map()
  }
}

/** Truncates a key. The result is a copy: a slice of a long string would retain all of it. */
const shorten = (key: string) =>
  key.length > LONGEST_KEY ? Buffer.from(key.slice(0, LONGEST_KEY)).toString() : key
