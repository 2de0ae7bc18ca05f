import { performance } from 'node:perf_hooks'

/** How slowly a source may send. */
export interface Floor {
  /** Bytes a second; 0 is any. */
  rate: number
  /** Milliseconds of waiting over which it is measured. */
  window: number
}

/**
 * Passes the pieces of a body on as long as they come at that rate. Only the time spent on waiting for the source
 * counts, not what the reader does between two pieces. Ends with `tooSlow`.
 */
export async function* paced(
  body: AsyncIterable<Buffer>,
  { rate, window }: Floor,
  tooSlow: () => Error,
): AsyncGenerator<Buffer> {
  let waited = 0
  let bytes = 0
  let asked = performance.now()
  for await (const piece of body) {
    waited += performance.now() - asked
    bytes += piece.length
    if (waited >= window) {
      if (bytes < (rate * waited) / 1000) throw tooSlow()
      waited = 0
      bytes = 0
    }
    yield piece
    asked = performance.now()
  }
}
