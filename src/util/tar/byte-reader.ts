import { TarError } from './tar-error.ts'

const truncated = () => new TarError('the archive is truncated')

/** Reads a stream of bytes in portions of a requested size. */
export class ByteReader {
  readonly #source: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** Returns from 1 to `most` bytes, or undefined at the end. */
  async #some(most: number): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#source.next()
      if (done) return undefined
      this.#rest = value
    }
    const part = this.#rest.subarray(0, most)
    this.#rest = this.#rest.subarray(part.length)
    return part
  }

  /** Returns from 1 to `most` bytes. Throws TarError at the end. */
  async some(most: number): Promise<Buffer> {
    const part = await this.#some(most)
    if (!part) throw truncated()
    return part
  }

  /** Returns exactly `size` bytes, or undefined at the end. Throws TarError if the stream ends within them. */
  async exactly(size: number): Promise<Buffer | undefined> {
    const first = await this.#some(size)
    if (!first || first.length === size) return first
    const parts = [first]
    for (let missing = size - first.length; missing > 0; ) {
      const part = await this.some(missing)
      parts.push(part)
      missing -= part.length
    }
    return Buffer.concat(parts)
  }

  /** Skips `size` bytes. Throws TarError if the stream ends within them. */
  async skip(size: number) {
    for (let missing = size; missing > 0; ) missing -= (await this.some(missing)).length
  }

  /** Ends the source, also if it is not read to its end. */
  async close() {
    await this.#source.return?.()
  }
}
