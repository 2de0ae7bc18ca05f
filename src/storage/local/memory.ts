/** Transfers that may use pieces of the largest size at the same time. */
const FEW = 8
/** Bytes of the smallest piece. */
const SMALLEST = 64 * 1024

/**
 * Limits the memory of all transfers together. While few transfers run, large pieces make them up to three times as
 * fast as pieces of 64 KiB. Of many transfers, each waits for the others anyway, so smaller pieces suffice: sixty-four
 * transfers need about as much memory as eight.
 */
export class TransferMemory {
  #active = 0
  /** Buffers of the largest size, kept for the next transfer. */
  readonly #spare: Buffer[] = []
  readonly #largest: number

  /** `largest`: bytes of a piece while few transfers run. */
  constructor(largest: number) {
    this.#largest = largest
  }

  /** Counts a transfer in. Must be followed by `leave`. */
  enter() {
    this.#active++
    // No buffer of the largest size is needed until few transfers run again.
    if (this.#active > FEW) this.#spare.length = 0
  }

  leave() {
    this.#active--
  }

  get isIdle() {
    return this.#active === 0
  }

  /** The current size of a piece, in bytes. It depends on the number of transfers, so read it for each piece. */
  get pieceSize(): number {
    let size = this.#largest
    for (let few = FEW; few < this.#active && size > SMALLEST; few *= 2) size /= 4
    return size
  }

  acquire(size: number): Buffer {
    const spare = size === this.#largest ? this.#spare.pop() : undefined
    return spare ?? Buffer.allocUnsafeSlow(size)
  }

  release(buffer: Buffer) {
    const isUseful = buffer.length === this.#largest && this.#active <= FEW
    if (isUseful && this.#spare.length < FEW) this.#spare.push(buffer)
  }
}
