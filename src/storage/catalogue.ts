import type { Image } from '../images/image.ts'
import {
  comparePositions,
  type ListQuery,
  type ListSlice,
  matches,
  type Position,
  positionOf,
} from '../images/listing.ts'
import type { Versioned } from '../images/ports.ts'
import { OrderedImages } from './ordered-images.ts'

/** For how many different filters the results are cached. */
const KEPT_FILTERS = 16
/** How many different lists are cached. */
const KEPT_LISTS = 64

/** Indexes all images in memory: by UUID, by origin, by name, and in the order of lists. */
export class Catalogue {
  readonly #byUuid = new Map<string, Versioned>()
  readonly #children = new Map<string, Map<string, Image>>()
  /** Built at the first query by name: with a hundred thousand images it costs time and memory. */
  #byName: Map<string, OrderedImages> | undefined
  readonly #ordered: OrderedImages
  readonly #chunkSize: number
  /**
   * The matches of each filter in a chunk. Chunks never change in place, so a result is valid as long as its chunk
   * exists, and a change invalidates the results of one chunk only.
   */
  readonly #found = new Map<string, WeakMap<readonly Image[], readonly Image[]>>()
  /** Lists since the last change. Callers cache what they derive from an array, so the same array is returned. */
  readonly #lists = new Map<string, readonly ListSlice[]>()

  /** `chunkSize`: large enough that joining chunks is cheap, small enough that rebuilding one is. */
  constructor(all: Iterable<Versioned> = [], chunkSize = 128) {
    this.#chunkSize = chunkSize
    const images: Image[] = []
    for (const versioned of all) {
      this.#byUuid.set(versioned.image.uuid, versioned)
      images.push(versioned.image)
      this.adoptChild(versioned.image)
    }
    this.#ordered = new OrderedImages(images, chunkSize)
  }

  get size() {
    return this.#byUuid.size
  }

  get(uuid: string): Versioned | undefined {
    return this.#byUuid.get(uuid)
  }

  put(versioned: Versioned) {
    const { image } = versioned
    this.#lists.clear()
    const before = this.#byUuid.get(image.uuid)?.image
    this.#byUuid.set(image.uuid, versioned)
    this.adoptChild(image)
    if (before) {
      if (before.origin !== image.origin) this.disownChild(before)
      this.#ordered.delete(before)
      this.#removeName(before)
    }
    this.#ordered.add(image)
    this.#addName(image)
  }

  delete(uuid: string) {
    const versioned = this.#byUuid.get(uuid)
    if (!versioned) return
    this.#lists.clear()
    this.#byUuid.delete(uuid)
    this.#ordered.delete(versioned.image)
    this.#removeName(versioned.image)
    this.disownChild(versioned.image)
  }

  /** Adds an image to its origin's children. A caller may do so before the image itself is in the catalogue. */
  adoptChild(image: Image) {
    if (image.origin === undefined) return
    const siblings = this.#children.get(image.origin)
    if (siblings) siblings.set(image.uuid, image)
    else this.#children.set(image.origin, new Map([[image.uuid, image]]))
  }

  /** Removes an image from its origin's children. */
  disownChild(image: Image) {
    if (image.origin === undefined) return
    const siblings = this.#children.get(image.origin)
    siblings?.delete(image.uuid)
    if (siblings?.size === 0) this.#children.delete(image.origin)
  }

  /** Returns the images whose origin this is, except itself: an image that is its own origin can be deleted. */
  children(uuid: string): Image[] {
    return [...(this.#children.get(uuid)?.values() ?? [])].filter(child => child.uuid !== uuid)
  }

  /** Returns whether the image is `ancestor` or descends from it. Terminates for a circle of origins too. */
  isBelow(uuid: string, ancestor: string): boolean {
    const below = new Set([ancestor])
    for (const one of below) {
      if (one === uuid) return true
      for (const child of this.#children.get(one)?.keys() ?? []) below.add(child)
    }
    return false
  }

  list(query: ListQuery): readonly ListSlice[] {
    const key = JSON.stringify(query)
    let slices = this.#lists.get(key)
    if (!slices) {
      slices = this.#find(query)
      this.#lists.set(key, slices)
      dropOldest(this.#lists, KEPT_LISTS)
    }
    return slices
  }

  #find(query: ListQuery): readonly ListSlice[] {
    const { name, order, marker, limit = Number.POSITIVE_INFINITY } = query
    const source = name && !name.contains ? this.#names().get(name.value) : this.#ordered
    if (!source) return []
    const chunks = source.chunksFrom(order, marker)
    const filter = this.#filterFor(query)
    const slices: ListSlice[] = []
    let room = limit
    for (const [index, chunk] of chunks.entries()) {
      if (room <= 0) break
      const images = filter(chunk)
      // Only the chunk that contains the marker can have images before it.
      const from = index === 0 && marker ? firstFrom(images, marker, order) : 0
      const to = Math.min(images.length, from + room)
      if (from < to) slices.push({ images, from, to })
      room -= to - from
    }
    return slices
  }

  /** Returns a function that gives the matching images of a chunk in the query's order, as the same array each time. */
  #filterFor(query: ListQuery): (chunk: readonly Image[]) => readonly Image[] {
    const { marker: _, limit: __, ...filter } = query
    const key = JSON.stringify(filter)
    let found = this.#found.get(key)
    if (!found) {
      found = new WeakMap()
      this.#found.set(key, found)
      dropOldest(this.#found, KEPT_FILTERS)
    }
    return chunk => {
      let images = found.get(chunk)
      if (!images) {
        const matching = chunk.filter(image => matches(image, query))
        images = query.order === 'desc' ? matching.reverse() : matching
        found.set(chunk, images)
      }
      return images
    }
  }

  #names(): Map<string, OrderedImages> {
    if (!this.#byName) {
      const byName = new Map<string, Image[]>()
      for (const { image } of this.#byUuid.values()) {
        const namesakes = byName.get(image.name)
        if (namesakes) namesakes.push(image)
        else byName.set(image.name, [image])
      }
      const ordered = (images: Image[]) => new OrderedImages(images, this.#chunkSize)
      this.#byName = new Map([...byName].map(([name, images]) => [name, ordered(images)]))
    }
    return this.#byName
  }

  #addName(image: Image) {
    const namesakes = this.#byName?.get(image.name)
    if (namesakes) namesakes.add(image)
    else this.#byName?.set(image.name, new OrderedImages([image], this.#chunkSize))
  }

  #removeName(image: Image) {
    const namesakes = this.#byName?.get(image.name)
    namesakes?.delete(image)
    if (namesakes?.isEmpty) this.#byName?.delete(image.name)
  }
}

function dropOldest(kept: Map<string, unknown>, most: number) {
  if (kept.size > most) kept.delete(kept.keys().next().value as string)
}

/** Returns the index of the first image at or after the marker, in the order of the list. */
function firstFrom(images: readonly Image[], marker: Position, order: ListQuery['order']): number {
  const sign = order === 'asc' ? 1 : -1
  const index = images.findIndex(image => sign * comparePositions(positionOf(image), marker) >= 0)
  return index === -1 ? images.length : index
}
