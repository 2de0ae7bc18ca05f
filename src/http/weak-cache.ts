/** A value that knows how much memory it takes, in bytes. */
export interface Sized {
  readonly size: number
}

/** Does not hold the source: the value is found through the source alone, so both go together. */
interface Entry {
  readonly source: WeakRef<object>
  readonly key: number
  readonly size: number
}

interface Cached {
  readonly value: Sized
  readonly entry: Entry
}

/** Bytes that an entry takes beside its value, about. */
const OVERHEAD = 300

/**
 * Values made of objects that never change in place. A value lives as long as the object that it was made of, and
 * no longer: the cache keeps neither of them from being collected. Beyond the limit the values that were not used
 * for the longest time are evicted.
 */
export class WeakCache {
  readonly #limit: number
  readonly #values = new WeakMap<object, Map<number, Cached>>()
  /** The least recently used first. */
  readonly #entries = new Set<Entry>()
  readonly #collected = new FinalizationRegistry<Entry>(entry => this.#drop(entry))
  #size = 0

  /** `limit`: bytes. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Bytes of all values that were not evicted or collected yet. */
  get size() {
    return this.#size
  }

  /** Returns what was made of the source under that key, or makes it. A key stands for one type of value. */
  get<T extends Sized>(source: object, key: number, make: () => T): T {
    const found = this.find<T>(source, key)
    if (found) return found
    const value = make()
    this.add(source, key, value)
    return value
  }

  find<T extends Sized>(source: object, key: number): T | undefined {
    const cached = this.#values.get(source)?.get(key)
    if (!cached) return undefined
    this.#entries.delete(cached.entry)
    this.#entries.add(cached.entry)
    return cached.value as T
  }

  /** In place of what was there under that key. */
  add(source: object, key: number, value: Sized) {
    let byKey = this.#values.get(source)
    if (!byKey) {
      byKey = new Map()
      this.#values.set(source, byKey)
    }
    const before = byKey.get(key)
    if (before) this.#drop(before.entry)
    const entry = { source: new WeakRef(source), key, size: value.size + OVERHEAD }
    byKey.set(key, { value, entry })
    this.#entries.add(entry)
    this.#collected.register(source, entry)
    this.#size += entry.size
    this.#evict()
  }

  #evict() {
    for (const entry of this.#entries) {
      if (this.#size <= this.#limit) return
      const source = entry.source.deref()
      if (source) this.#values.get(source)?.delete(entry.key)
      this.#drop(entry)
    }
  }

  #drop(entry: Entry) {
    if (this.#entries.delete(entry)) this.#size -= entry.size
  }
}
