import type { Locks } from '../images/ports.ts'

/** Locks for a server that is alone with its data. */
export class LocalLocks implements Locks {
  readonly #held = new Set<string>()

  async tryAcquire(name: string) {
    if (this.#held.has(name)) return undefined
    this.#held.add(name)
    return () => {
      this.#held.delete(name)
    }
  }
}
