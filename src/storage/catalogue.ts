import type { Image } from '../images/image.ts'
import { comparePositions, type ListQuery, matches, type Position, positionOf } from '../images/listing.ts'
import type { Versioned } from '../images/ports.ts'

/** All images in memory, findable by UUID and by origin, and in the order in which lists show them. */
export class Catalogue {
  readonly #byUuid = new Map<string, Versioned>()
  readonly #ordered: Image[] = []
  readonly #children = new Map<string, Map<string, Image>>()

  constructor(all: Iterable<Versioned> = []) {
    for (const versioned of all) {
      this.#byUuid.set(versioned.image.uuid, versioned)
      this.#ordered.push(versioned.image)
      this.adoptChild(versioned.image)
    }
    // Sorting by positions made once is much cheaper than making them in every comparison.
    const positions = new Map(this.#ordered.map(image => [image, positionOf(image)]))
    this.#ordered.sort((a, b) => comparePositions(positions.get(a)!, positions.get(b)!))
  }

  get size() {
    return this.#byUuid.size
  }

  get(uuid: string): Versioned | undefined {
    return this.#byUuid.get(uuid)
  }

  put(versioned: Versioned) {
    const { image } = versioned
    const before = this.#byUuid.get(image.uuid)?.image
    this.#byUuid.set(image.uuid, versioned)
    this.adoptChild(image)
    if (before && before.origin !== image.origin) this.disownChild(before)
    const from = before && this.#indexOf(positionOf(before))
    const to = this.#indexOf(positionOf(image))
    if (from === to) this.#ordered.splice(to, 1, image)
    else {
      if (from !== undefined) this.#ordered.splice(from, 1)
      this.#ordered.splice(from !== undefined && from < to ? to - 1 : to, 0, image)
    }
  }

  delete(uuid: string) {
    const versioned = this.#byUuid.get(uuid)
    if (!versioned) return
    this.#byUuid.delete(uuid)
    this.#ordered.splice(this.#indexOf(positionOf(versioned.image)), 1)
    this.disownChild(versioned.image)
  }

  /** Counts an image among its origin's children, which it may be before it is in the catalogue itself. */
  adoptChild(image: Image) {
    if (image.origin === undefined) return
    const siblings = this.#children.get(image.origin)
    if (siblings) siblings.set(image.uuid, image)
    else this.#children.set(image.origin, new Map([[image.uuid, image]]))
  }

  disownChild(image: Image) {
    if (image.origin === undefined) return
    const siblings = this.#children.get(image.origin)
    siblings?.delete(image.uuid)
    if (siblings?.size === 0) this.#children.delete(image.origin)
  }

  children(uuid: string): Image[] {
    return [...(this.#children.get(uuid)?.values() ?? [])]
  }

  list(query: ListQuery): Image[] {
    const { order, marker, limit = Number.POSITIVE_INFINITY } = query
    const found: Image[] = []
    const step = order === 'asc' ? 1 : -1
    let index = this.#start(order, marker)
    for (; found.length < limit; index += step) {
      const image = this.#ordered[index]
      if (!image) break
      if (matches(image, query)) found.push(image)
    }
    return found
  }

  #start(order: ListQuery['order'], marker: Position | undefined): number {
    if (order === 'asc') return marker ? this.#indexOf(marker) : 0
    if (!marker) return this.#ordered.length - 1
    // Descending, the marker itself is part of the page: start at the last image that is not after it.
    return this.#search(image => comparePositions(positionOf(image), marker) > 0) - 1
  }

  /** Where the image at this position is, or would be. */
  #indexOf(position: Position): number {
    return this.#search(image => comparePositions(positionOf(image), position) >= 0)
  }

  /** The index of the first image that `isBeyond` holds for; from there on it holds for all. */
  #search(isBeyond: (image: Image) => boolean): number {
    let low = 0
    let high = this.#ordered.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isBeyond(this.#ordered[middle]!)) high = middle
      else low = middle + 1
    }
    return low
  }
}
