import { TarError } from '../util/tar/tar-error.ts'

/** The largest window that the zstd program itself accepts by default. */
const WIDEST_WINDOW = 128 * 1024 ** 2
const FRAME = 0xfd2fb528
const SKIPPABLE = 0x184d2a50

/**
 * Reads the headers of zstd frames (RFC 8878) without decompressing them. Each header states a window size, which a
 * decompressor allocates at once.
 */
export class ZstdFrames {
  /** Bytes to skip before the next header. */
  #skipped = 0
  #rest: Buffer = Buffer.alloc(0)
  #isInFrame = false
  #checksum = 0

  /** Checks the next bytes of the file. Throws TarError for a frame whose window is too large. */
  check(chunk: Buffer) {
    let bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk
    for (;;) {
      const skip = Math.min(this.#skipped, bytes.length)
      bytes = bytes.subarray(skip)
      this.#skipped -= skip
      if (bytes.length === 0 || !(this.#isInFrame ? this.#readBlock(bytes) : this.#readFrame(bytes))) break
    }
    this.#rest = Buffer.from(bytes)
  }

  /** Reads a block header. Returns false if it is not complete yet. */
  #readBlock(bytes: Buffer): boolean {
    if (bytes.length < 3) return false
    const head = bytes.readUIntLE(0, 3)
    const isLast = (head & 1) === 1
    const isRepeated = ((head >> 1) & 3) === 1
    this.#skipped = 3 + (isRepeated ? 1 : head >> 3) + (isLast ? this.#checksum : 0)
    this.#isInFrame = !isLast
    return true
  }

  /** Reads a frame header. Returns false if it is not complete yet. Throws TarError. */
  #readFrame(bytes: Buffer): boolean {
    if (bytes.length < 8) return false
    const magic = bytes.readUInt32LE(0)
    if ((magic & 0xfffffff0) === SKIPPABLE) {
      this.#skipped = 8 + bytes.readUInt32LE(4)
      return true
    }
    if (magic !== FRAME) throw new TarError('a layer that is compressed with zstd cannot be read')
    const flags = bytes[4]!
    const isSingle = (flags & 0x20) !== 0
    const dictionary = [0, 1, 2, 4][flags & 3]!
    const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][flags >> 6]!
    const sizeAt = 5 + (isSingle ? 0 : 1) + dictionary
    if (bytes.length < sizeAt + sizeBytes) return false
    const window = isSingle ? readSize(bytes, sizeAt, sizeBytes) : windowOf(bytes[5]!)
    if (window > WIDEST_WINDOW) {
      throw new TarError('a layer is compressed with zstd in a way that takes more than 128 MiB of memory')
    }
    this.#skipped = sizeAt + sizeBytes
    this.#isInFrame = true
    this.#checksum = (flags & 4) !== 0 ? 4 : 0
    return true
  }
}

const readSize = (bytes: Buffer, at: number, length: number) =>
  length === 8 ? Number(bytes.readBigUInt64LE(at)) : bytes.readUIntLE(at, length) + (length === 2 ? 256 : 0)

/** Decodes a window descriptor: five bits of exponent, three of mantissa. */
function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 7)
}
