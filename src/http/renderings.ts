import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import type { Image, View } from '../images/image.ts'
import type { ListSlice } from '../images/listing.ts'
import { memoryOf, type RenderedImage, renderImage } from './rendered-image.ts'
import { bytesOf, digestOf, renderRows } from './rendered-rows.ts'
import { type Sized, WeakCache } from './weak-cache.ts'

/** A list of images as JSON. */
export interface RenderedList extends Sized {
  /** The whole JSON of a short list, which is sent in one packet with the headers. */
  text?: string | undefined
  /** In bytes. */
  length: number
  /** The ETag, unquoted; that of the compressed list has `-gzip` appended. */
  tag: string
  /** The result of the compression while it slices. */
  compressing?: Promise<Buffer> | undefined
}

interface CompressedList extends Sized {
  bytes: Buffer
}

/** The memory limit of the cache, in bytes: about the list of a hundred thousand images. */
const LIMIT = 160 * 1024 * 1024

/** The largest list that is cached as one string, in bytes. Longer ones are assembled from their rows each time. */
const SHORT = 32 * 1024

const OPEN = Buffer.from('[\n')
const BETWEEN = Buffer.from(',\n')
const CLOSE = Buffer.from('\n]')
const EMPTY = Buffer.from('[]')

const compress = promisify<Buffer, { level: number }, Buffer>(gzip)

/** Returns the cache key of a view: the fields of it that affect a rendering. */
const keyOf = ({ operatorFields, channels, adminFields }: View) =>
  Number(operatorFields) + 2 * Number(channels) + 4 * Number(adminFields)

/** Offset of the keys of compressed lists, after those of all views. */
const COMPRESSED = 8

/**
 * Caches rendered images, rows of lists, whole lists and compressed lists, by the identity of the image, of the array
 * of images, or of the array of slices. These never change in place, and the same objects are returned as long as nothing
 * changes (see `ListSlice`): after a change only the rows of the array with the changed image are rendered again.
 */
export class Renderings {
  readonly #cache: WeakCache

  /** `limit`: bytes of memory. */
  constructor(limit = LIMIT) {
    this.#cache = new WeakCache(limit)
  }

  /** Bytes of memory of all cached renderings. */
  get size() {
    return this.#cache.size
  }

  /** Returns the rendered manifest of an image. */
  image(image: Image, view: View): RenderedImage {
    return this.#cache.get(image, keyOf(view), () => renderImage(image, view))
  }

  /** Returns length and ETag of a list, and its JSON if it is short. */
  list(slices: readonly ListSlice[], view: View): RenderedList {
    return this.#cache.get(slices, keyOf(view), () => this.#assemble(slices, view))
  }

  /** Returns the JSON of a list in parts, without copying them. */
  parts(slices: readonly ListSlice[], view: View): Buffer[] {
    if (slices.length === 0) return [EMPTY]
    const parts = slices.flatMap((slice, index) => [
      index === 0 ? OPEN : BETWEEN,
      bytesOf(this.#rows(slice, view), slice),
    ])
    parts.push(CLOSE)
    return parts
  }

  /**
   * Returns the compressed JSON of a list. It is compressed off the main thread, once for concurrent requests. The
   * fastest level reduces a list to a fifteenth.
   */
  compressed(slices: readonly ListSlice[], view: View): Promise<Buffer> {
    const key = keyOf(view) + COMPRESSED
    const found = this.#cache.find<CompressedList>(slices, key)
    if (found) return Promise.resolve(found.bytes)
    const list = this.list(slices, view)
    list.compressing ??= compress(Buffer.concat(this.parts(slices, view)), { level: constants.Z_BEST_SPEED })
      .then(bytes => {
        const compressed: CompressedList = { bytes, size: bytes.buffer.byteLength }
        this.#cache.add(slices, key, compressed)
        return bytes
      })
      .finally(() => {
        list.compressing = undefined
      })
    return list.compressing
  }

  #rows({ images }: ListSlice, view: View) {
    return this.#cache.get(images, keyOf(view), () => renderRows(images, view))
  }

  #assemble(slices: readonly ListSlice[], view: View): RenderedList {
    const hash = createHash('sha1')
    for (const slice of slices) hash.update(digestOf(this.#rows(slice, view), slice))
    const parts = this.parts(slices, view)
    const length = parts.reduce((total, part) => total + part.length, 0)
    const text = length > SHORT ? undefined : Buffer.concat(parts).toString()
    return { text, length, tag: hash.digest('hex'), size: text === undefined ? 0 : memoryOf(text) }
  }
}
