/** Serialises work under the same key, in the order of the calls; other keys do not wait. */
export class KeyedMutex {
  /** The end of the queue of each key. */
  readonly #last = new Map<string, Promise<unknown>>()

  /** Runs `work` after all earlier work under that key has ended, and resolves or rejects as it does. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const next = (this.#last.get(key) ?? Promise.resolve()).then(work, work)
    this.#last.set(key, next)
    try {
      return await next
    } finally {
      if (this.#last.get(key) === next) this.#last.delete(key)
    }
  }

  /** Waits until all work requested so far under a key has ended, with or without an error. */
  async idle(key: string): Promise<void> {
    await this.#last.get(key)?.catch(() => {})
  }
}
