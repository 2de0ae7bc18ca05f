import type { Locks, Release } from '../images/ports.ts'

/** Implements locks in memory, for a data directory that one server uses alone. */
export class LocalLocks implements Locks {
  /** For each held lock, the waiting calls of `acquire`, oldest first. */
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
      const onRelease = () => {
        signal.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = () => {
        waiting.delete(onRelease)
        reject(signal.reason)
      }
      waiting.add(onRelease)
      signal.addEventListener('abort', giveUp, { once: true })
    })
    return this.#releaseOf(name)
  }

  /** Returns a function that passes the lock directly to the next waiter, so that no later call can overtake it. */
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
