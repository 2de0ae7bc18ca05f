import type { ByteReader } from './byte-reader.ts'
import type { TarLimits } from './limits.ts'
import { wholeNumber } from './pax.ts'
import { TarError } from './tar-error.ts'
import { BLOCK, readNumber } from './tar-header.ts'

/** Files with holes: the archive has the data between the holes, and a map of it. */

export interface Sparse {
  /** Size of the file, holes included. */
  size: number
  /** Offset and length of each part that is not a hole, in ascending order. */
  map: readonly number[]
}

const unreadable = () => new TarError('the archive has a sparse file that cannot be read')
const ZEROS = Buffer.alloc(256 * 1024)
/** GNU's old format: the bytes of an offset with its length, and their place in the header and in later blocks. */
const PAIR = 24
const FIRST = { start: 386, pairs: 4, more: 482 }
const OTHERS = { start: 0, pairs: 21, more: 504 }

/** Reads the map of an entry of type `S`, which continues in blocks after the header. Throws TarError. */
export async function readOldSparse(block: Buffer, reader: ByteReader, limits: TarLimits): Promise<Sparse> {
  const map: number[] = []
  const size = readNumber(block, 483, 12)
  for (let [from, place] = [block, FIRST]; ; place = OTHERS) {
    for (let pair = 0; pair < place.pairs; pair++) {
      const at = place.start + pair * PAIR
      if (from[at] === 0) break
      map.push(readNumber(from, at, 12), readNumber(from, at + 12, 12))
    }
    limits.add('parts', place.pairs)
    if (from[place.more] === 0) return { size, map }
    const next = await reader.exactly(BLOCK)
    if (!next) throw unreadable()
    from = next
  }
}

/**
 * Reads the map at the start of a content: lines of decimal numbers, the first of which is the number of pairs, padded
 * to whole blocks. `nextBlock` reads from the content. Throws TarError.
 */
export async function readMap(nextBlock: () => Promise<Buffer>, limits: TarLimits): Promise<number[]> {
  const numbers: number[] = []
  let digits = ''
  for (let expected = 1; numbers.length < expected; ) {
    for (const byte of await nextBlock()) {
      if (byte !== 0x0a) {
        digits += String.fromCharCode(byte)
        if (digits.length > 16) throw unreadable()
        continue
      }
      numbers.push(wholeNumber(digits))
      digits = ''
      if (numbers.length === 1) {
        limits.add('parts', numbers[0]!)
        expected += 2 * numbers[0]!
      }
      if (numbers.length === expected) break
    }
  }
  return numbers.slice(1)
}

/** Throws TarError unless the parts are in order, within the file, and together as long as the stored content. */
export function checkSparse({ size, map }: Sparse, stored: number) {
  let end = 0
  let sum = 0
  for (let i = 0; i < map.length; i += 2) {
    const [offset, length] = [map[i]!, map[i + 1] ?? Number.NaN]
    if (!(offset >= end && offset + length <= size)) throw unreadable()
    end = offset + length
    sum += length
  }
  if (sum !== stored) throw unreadable()
}

/** Yields the content of the file with zeros in its holes. `next` returns from 1 to `most` stored bytes. */
export async function* expand(
  { size, map }: Sparse,
  next: (most: number) => Promise<Buffer>,
): AsyncGenerator<Buffer> {
  let position = 0
  for (let i = 0; i < map.length; i += 2) {
    yield* zeros(map[i]! - position)
    position = map[i]! + map[i + 1]!
    for (let left = map[i + 1]!; left > 0; ) {
      const part = await next(left)
      left -= part.length
      yield part
    }
  }
  yield* zeros(size - position)
}

function* zeros(count: number): Generator<Buffer> {
  for (let left = count; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, left)
}
