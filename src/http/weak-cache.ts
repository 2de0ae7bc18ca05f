/** A value with its memory size in bytes. */
export interface Sized {
  readonly size: number
}

/** Position in the order of use. It holds the source weakly, so that source and value are collected together. */
interface Entry {
  readonly source: WeakRef<object>
  readonly key: number
  readonly size: number
}

interface Cached {
  readonly value: Sized
  readonly entry: Entry
}

/** The approximate bytes of an entry besides its value. */
const OVERHEAD = 300

/**
 * Caches values that are derived from immutable objects. A value lives at most as long as its source, and the cache
 * does not keep the source from being collected. Beyond the limit the least recently used values are evicted.
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

  /** Bytes of all values that are neither evicted nor collected. */
  get size() {
    return this.#size
  }

  /** Returns the value of a source under a key, and creates it if it is missing. A key stands for one type of value. */
  get<T extends Sized>(source: object, key: number, make: () => T): T {
    const found = this.find<T>(source, key)
    if (found) return found
    const value = make()
    this.add(source, key, value)
    return value
  }

  /** Returns the value of a source under a key, and marks it as used. */
  find<T extends Sized>(source: object, key: number): T | undefined {
    const cached = this.#values.get(source)?.get(key)
    if (!cached) return undefined
    this.#entries.delete(cached.entry)
    this.#entries.add(cached.entry)
    return cached.value as T
  }

  /** Adds the value of a source under a key, or replaces it. */
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
