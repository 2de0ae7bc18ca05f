import { setTimeout as sleep } from 'node:timers/promises'

/** Waits shorter than this, in milliseconds, are saved up. */
const SHORTEST = 10

/** Lets so many bytes a second through, of all transfers together. */
export function throttle(bytesPerSecond: number) {
  /** When the line is free again. */
  let free = 0
  return async (bytes: number, signal: AbortSignal) => {
    const now = performance.now()
    free = Math.max(free, now) + (bytes / bytesPerSecond) * 1000
    if (free - now > SHORTEST) await sleep(free - now, undefined, { signal })
  }
}
