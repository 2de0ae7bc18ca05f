import { TarError } from './tar-error.ts'

const breaksOff = () => new TarError('the archive breaks off')

/** A stream of bytes that is read in portions of a wanted size. */
export class ByteReader {
  readonly #source: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** At least one byte and at most so many; nothing at the end. */
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

  /** At least one byte and at most so many. Throws TarError at the end. */
  async some(most: number): Promise<Buffer> {
    const part = await this.#some(most)
    if (!part) throw breaksOff()
    return part
  }

  /** Exactly so many bytes; nothing if there is none at all. Throws TarError if it ends within them. */
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

  /** Throws TarError if there are fewer bytes. */
  async skip(size: number) {
    for (let missing = size; missing > 0; ) missing -= (await this.some(missing)).length
  }

  /** Ends the source, read or not. */
  async close() {
    await this.#source.return?.()
  }
}
