import { setTimeout as sleep } from 'node:timers/promises'

/** Waits shorter than this, in milliseconds, are accumulated. */
const SHORTEST = 10

/** Returns a function that limits all transfers together to a rate, in bytes per second. */
export function throttle(bytesPerSecond: number) {
  /** When the next bytes may be received, in milliseconds. */
  let free = 0
  return async (bytes: number, signal: AbortSignal) => {
    const now = performance.now()
    free = Math.max(free, now) + (bytes / bytesPerSecond) * 1000
    if (free - now > SHORTEST) await sleep(free - now, undefined, { signal })
  }
}
