/**
 * The memory that transfers may use together: each gets less the more of them there are, so that sixty-four
 * of them cost about as much as eight. Large pieces matter for speed (64 KiB pieces cost a factor of three),
 * but not with so many at once that they wait for each other anyway.
 */
const BUDGET = 24 * 1024 * 1024
const SMALLEST = 64 * 1024

export class TransferMemory {
  #active = 0
  /** Buffers of the largest size, which most transfers use, kept for the next one. */
  readonly #spare: Buffer[] = []
  readonly #largest: number

  /** `largest`: bytes of a piece while few transfers run, a power of two. */
  constructor(largest: number) {
    this.#largest = largest
  }

  /** Joins the transfers; the answer is the size of the pieces to work in. Must be followed by `leave`. */
  enter(): number {
    this.#active++
    let size = this.#largest
    while (size > SMALLEST && size * this.#active > BUDGET) size /= 2
    return size
  }

  leave() {
    this.#active--
  }

  take(size: number): Buffer {
    const spare = size === this.#largest ? this.#spare.pop() : undefined
    return spare ?? Buffer.allocUnsafeSlow(size)
  }

  give(buffer: Buffer) {
    const isLargest = buffer.length === this.#largest
    if (isLargest && (this.#spare.length + 1) * buffer.length <= BUDGET) this.#spare.push(buffer)
  }
}
