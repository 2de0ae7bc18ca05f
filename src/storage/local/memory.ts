/**
 * The memory that transfers may use together. Large pieces matter for speed (64 KiB pieces cost a
 * factor of three) while few transfers run; of many, each waits for the others anyway, and works in small ones,
 * so that sixty-four cost about as much as eight.
 */
const FEW = 8
const SMALLEST = 64 * 1024

export class TransferMemory {
  #active = 0
  /** Buffers of the largest size, kept for the next transfer. */
  readonly #spare: Buffer[] = []
  readonly #largest: number

  /** `largest`: bytes of a piece while few transfers run. */
  constructor(largest: number) {
    this.#largest = largest
  }

  /** Joins the transfers. Must be followed by `leave`. */
  enter() {
    this.#active++
    // They are not used again before there are few.
    if (this.#active > FEW) this.#spare.length = 0
  }

  leave() {
    this.#active--
  }

  get isIdle() {
    return this.#active === 0
  }

  /** The size of the pieces to work in now, in bytes: others may have come or gone since the last one. */
  get pieceSize(): number {
    let size = this.#largest
    for (let few = FEW; few < this.#active && size > SMALLEST; few *= 2) size /= 4
    return size
  }

  take(size: number): Buffer {
    const spare = size === this.#largest ? this.#spare.pop() : undefined
    return spare ?? Buffer.allocUnsafeSlow(size)
  }

  give(buffer: Buffer) {
    const isUseful = buffer.length === this.#largest && this.#active <= FEW
    if (isUseful && this.#spare.length < FEW) this.#spare.push(buffer)
  }
}
