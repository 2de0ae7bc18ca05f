import type { Image } from '../images/image.ts'
import { comparePositions, type ListQuery, type Position, positionOf } from '../images/listing.ts'

/**
 * Keeps images in list order, in chunks that never change in place. A change replaces one chunk, so whatever was
 * cached for the other chunks stays valid.
 */
export class OrderedImages {
  /** No chunk is empty. */
  readonly #chunks: (readonly Image[])[] = []

  readonly #chunkSize: number

  constructor(images: readonly Image[], chunkSize: number) {
    this.#chunkSize = chunkSize
    // Computing each position once is much cheaper than in every comparison.
    const placed = images.map(image => ({ image, position: positionOf(image) }))
    placed.sort((a, b) => comparePositions(a.position, b.position))
    for (let start = 0; start < placed.length; start += chunkSize) {
      this.#chunks.push(placed.slice(start, start + chunkSize).map(({ image }) => image))
    }
  }

  get isEmpty() {
    return this.#chunks.length === 0
  }

  add(image: Image) {
    const position = positionOf(image)
    const index = Math.min(this.#chunkOf(position), this.#chunks.length - 1)
    const chunk = this.#chunks[index]
    if (!chunk) {
      this.#chunks.push([image])
      return
    }
    const at = firstNotBefore(chunk, position)
    const next = chunk.toSpliced(at, 0, image)
    const size = this.#chunkSize
    if (next.length <= 2 * size) this.#chunks[index] = next
    else this.#chunks.splice(index, 1, next.slice(0, size), next.slice(size))
  }

  delete(image: Image) {
    const position = positionOf(image)
    const index = this.#chunkOf(position)
    const chunk = this.#chunks[index]
    if (!chunk) return
    const at = firstNotBefore(chunk, position)
    if (chunk[at]?.uuid !== image.uuid) return
    if (chunk.length === 1) this.#chunks.splice(index, 1)
    else this.#chunks[index] = chunk.toSpliced(at, 1)
  }

  /** Returns the chunks from the one with the marker on, in the order of the list; each chunk itself is ascending. */
  chunksFrom(order: ListQuery['order'], marker: Position | undefined): (readonly Image[])[] {
    if (order === 'asc') return marker ? this.#chunks.slice(this.#chunkOf(marker)) : this.#chunks
    const chunks = marker ? this.#chunks.filter(chunk => isNotAfter(chunk[0]!, marker)) : this.#chunks
    return chunks.toReversed()
  }

  /** Returns the index of the first chunk that does not end before this position. */
  #chunkOf(position: Position): number {
    return search(this.#chunks, chunk => comparePositions(positionOf(chunk.at(-1)!), position) >= 0)
  }
}

const isNotAfter = (image: Image, marker: Position) => comparePositions(positionOf(image), marker) <= 0

const firstNotBefore = (chunk: readonly Image[], position: Position) =>
  search(chunk, image => comparePositions(positionOf(image), position) >= 0)

/** Finds the first item for which `isBeyond` is true by binary search; it must be true for all later items. */
function search<T>(items: readonly T[], isBeyond: (item: T) => boolean): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isBeyond(items[middle]!)) high = middle
    else low = middle + 1
  }
  return low
}
