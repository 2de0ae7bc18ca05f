/** Lets work on the same thing wait for each other, in the order in which it came. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const next = (this.#last.get(key) ?? Promise.resolve()).then(work, work)
    this.#last.set(key, next)
    try {
      return await next
    } finally {
      if (this.#last.get(key) === next) this.#last.delete(key)
    }
  }
}
