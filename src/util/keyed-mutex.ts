/** Runs work under the same key one after the other, in the order of the calls; other keys do not wait. */
export class KeyedMutex {
  /** The end of the queue of each key. */
  readonly #last = new Map<string, Promise<unknown>>()

  /** Resolves or rejects as `work` does, which begins when all earlier work under that key has ended. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const next = (this.#last.get(key) ?? Promise.resolve()).then(work, work)
    this.#last.set(key, next)
    try {
      return await next
    } finally {
      if (this.#last.get(key) === next) this.#last.delete(key)
    }
  }

  /** Waits for the work under a key that has been asked for so far, however it ends. */
  async idle(key: string): Promise<void> {
    await this.#last.get(key)?.catch(() => {})
  }
}
