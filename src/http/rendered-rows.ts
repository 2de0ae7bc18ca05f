import { createHash } from 'node:crypto'
import { type Image, toManifest, type View } from '../images/image.ts'
import type { ListSlice } from '../images/listing.ts'
import type { Sized } from './weak-cache.ts'

/** Images as rows of a JSON array. */
export interface RenderedRows extends Sized {
  /** The manifests, each followed by a comma and a line break. */
  bytes: Buffer
  /** Start of each row, and the end of the last one. */
  offsets: Uint32Array
  digest: string
}

const SEPARATOR = ',\n'

/** Renders the manifests of images as rows. */
export function renderRows(images: readonly Image[], view: View): RenderedRows {
  const offsets = new Uint32Array(images.length + 1)
  const rows = images.map((image, index) => {
    // The only item of an array is indented as it is in a longer one.
    const row = JSON.stringify([toManifest(image, view)], null, 2).slice(2, -2) + SEPARATOR
    offsets[index + 1] = offsets[index]! + Buffer.byteLength(row)
    return row
  })
  // Not from the pool: a small slice would retain the whole block.
  const bytes = Buffer.allocUnsafeSlow(offsets[images.length]!)
  for (const [index, row] of rows.entries()) bytes.write(row, offsets[index]!)
  const digest = createHash('sha1').update(bytes).digest('base64')
  return { bytes, offsets, digest, size: bytes.length + offsets.byteLength }
}

/** Returns the rows of a slice, without a separator at the end. */
export const bytesOf = ({ bytes, offsets }: RenderedRows, { from, to }: ListSlice): Buffer =>
  bytes.subarray(offsets[from], offsets[to]! - SEPARATOR.length)

/** Returns a digest that identifies the rows of a slice. */
export const digestOf = ({ digest }: RenderedRows, { images, from, to }: ListSlice): string =>
  from === 0 && to === images.length ? digest : `${digest}[${from}-${to}]`
