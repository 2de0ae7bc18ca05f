import { performance } from 'node:perf_hooks'

/** The minimum rate of a source. */
export interface Floor {
  /** Bytes per second; 0: no minimum. */
  rate: number
  /** Milliseconds of waiting over which it is measured. */
  window: number
}

/**
 * Passes a body on as long as it arrives at that rate. Counts only the time spent waiting for the source, not that of
 * the reader between two pieces. Throws the error of `tooSlow`.
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
