import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import type { Image, View } from '../images/image.ts'
import type { ListSlice } from '../images/listing.ts'
import { memoryOf, type RenderedImage, renderImage } from './rendered-image.ts'
import { bytesOf, digestOf, renderRows } from './rendered-rows.ts'
import { type Sized, WeakCache } from './weak-cache.ts'

export interface RenderedList extends Sized {
  /** All of it, where it is short: a text goes out in one piece with the headers. */
  text?: string | undefined
  /** In bytes. */
  length: number
  /** Unquoted; the compressed variant's has `-gzip` behind it. */
  tag: string
  /** While it is being compressed. */
  compressing?: Promise<Buffer> | undefined
}

interface CompressedList extends Sized {
  bytes: Buffer
}

/** Bytes of all that is kept: about the list of a hundred thousand images. */
const LIMIT = 160 * 1024 * 1024

/** Bytes up to which a list is kept as one text; a longer one is put together from its rows each time. */
const SHORT = 32 * 1024

const OPEN = Buffer.from('[\n')
const BETWEEN = Buffer.from(',\n')
const CLOSE = Buffer.from('\n]')
const EMPTY = Buffer.from('[]')

const compress = promisify<Buffer, { level: number }, Buffer>(gzip)

/** All of a view that makes a difference to what is rendered. */
const keyOf = ({ operatorFields, channels, adminFields }: View) =>
  Number(operatorFields) + 2 * Number(channels) + 4 * Number(adminFields)

/** Behind the keys of all views. */
const COMPRESSED = 8

/**
 * What the server answers with, rendered once: images, the rows of lists, whole lists, compressed lists. By
 * images, arrays of images and arrays of runs, which never change in place and come again as long as nothing
 * changes (see `ListSlice`): after a change only the rows of the array that has the image are rendered again.
 */
export class Renderings {
  readonly #cache: WeakCache

  /** `limit`: bytes of memory for all of it. */
  constructor(limit = LIMIT) {
    this.#cache = new WeakCache(limit)
  }

  /** Bytes of all that it keeps. */
  get size() {
    return this.#cache.size
  }

  image(image: Image, view: View): RenderedImage {
    return this.#cache.get(image, keyOf(view), () => renderImage(image, view))
  }

  list(runs: readonly ListSlice[], view: View): RenderedList {
    return this.#cache.get(runs, keyOf(view), () => this.#assemble(runs, view))
  }

  /** The bytes of a list, in pieces that are not copied. */
  parts(runs: readonly ListSlice[], view: View): Buffer[] {
    if (runs.length === 0) return [EMPTY]
    const parts = runs.flatMap((run, index) => [
      index === 0 ? OPEN : BETWEEN,
      bytesOf(this.#rows(run, view), run),
    ])
    parts.push(CLOSE)
    return parts
  }

  /** Compresses off the main thread, and once however many ask. The fastest level makes a fifteenth of a list. */
  compressed(runs: readonly ListSlice[], view: View): Promise<Buffer> {
    const key = keyOf(view) + COMPRESSED
    const found = this.#cache.find<CompressedList>(runs, key)
    if (found) return Promise.resolve(found.bytes)
    const list = this.list(runs, view)
    list.compressing ??= compress(Buffer.concat(this.parts(runs, view)), { level: constants.Z_BEST_SPEED })
      .then(bytes => {
        const kept: CompressedList = { bytes, size: bytes.buffer.byteLength }
        this.#cache.add(runs, key, kept)
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

  #assemble(runs: readonly ListSlice[], view: View): RenderedList {
    const hash = createHash('sha1')
    for (const run of runs) hash.update(digestOf(this.#rows(run, view), run))
    const parts = this.parts(runs, view)
    const length = parts.reduce((total, part) => total + part.length, 0)
    const text = length > SHORT ? undefined : Buffer.concat(parts).toString()
    return { text, length, tag: hash.digest('hex'), size: text === undefined ? 0 : memoryOf(text) }
  }
}
