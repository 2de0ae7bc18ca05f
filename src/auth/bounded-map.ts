/** Entries to remember, of each map. */
const MOST = 10_000
/** Of a key; longer ones only an attacker has, and they are cut. */
const LONGEST_KEY = 300

/**
 * A map that forgets what was set longest ago, so that memory has a bound whatever clients send. It has two halves: when
 * the younger one is full it becomes the older one, which goes as a whole.
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

/** Copied: a part of a long text would keep all of it in memory. */
const shorten = (key: string) =>
  key.length > LONGEST_KEY ? Buffer.from(key.slice(0, LONGEST_KEY)).toString() : key
