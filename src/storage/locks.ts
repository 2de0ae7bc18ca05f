import type { Locks, Release } from '../images/ports.ts'

/** Locks for a server that is alone with its data. */
export class LocalLocks implements Locks {
  /** For each lock that is held, those who wait for it. */
  readonly #waiting = new Map<string, Set<() => void>>()

  async tryAcquire(name: string): Promise<Release | undefined> {
    if (this.#waiting.has(name)) return undefined
    this.#waiting.set(name, new Set())
    return this.#releaseOf(name)
  }

  async acquire(name: string, signal: AbortSignal): Promise<Release> {
    signal.throwIfAborted()
    const waiting = this.#waiting.get(name)
    if (!waiting) {
      this.#waiting.set(name, new Set())
      return this.#releaseOf(name)
    }
    await new Promise<void>((resolve, reject) => {
      const take = () => {
        signal.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = () => {
        waiting.delete(take)
        reject(signal.reason)
      }
      waiting.add(take)
      signal.addEventListener('abort', giveUp, { once: true })
    })
    return this.#releaseOf(name)
  }

  /** Hands the lock to the next one: in between nobody else can take it. */
  #releaseOf(name: string): Release {
    let isReleased = false
    return () => {
      if (isReleased) return
      isReleased = true
      const waiting = this.#waiting.get(name)!
      const [next] = waiting
      if (!next) {
        this.#waiting.delete(name)
        return
      }
      waiting.delete(next)
      next()
    }
  }
}
