import { createHash } from 'node:crypto'
import { type Image, toManifest, type View } from '../images/image.ts'
import type { ListSlice } from '../images/listing.ts'
import type { Sized } from './weak-cache.ts'

/** The images of an array as rows of a JSON array. */
export interface RenderedRows extends Sized {
  /** The manifests with the commas and line breaks between them, and one more at the end. */
  bytes: Buffer
  /** Where each row begins; one more than there are rows. */
  offsets: Uint32Array
  digest: string
}

const SEPARATOR = ',\n'

export function renderRows(images: readonly Image[], view: View): RenderedRows {
  const offsets = new Uint32Array(images.length + 1)
  const rows = images.map((image, index) => {
    // As the only item of an array it comes indented as it must be in a longer one.
    const row = JSON.stringify([toManifest(image, view)], null, 2).slice(2, -2) + SEPARATOR
    offsets[index + 1] = offsets[index]! + Buffer.byteLength(row)
    return row
  })
  // Memory of its own: a small part of a shared block would keep the whole block.
  const bytes = Buffer.allocUnsafeSlow(offsets[images.length]!)
  for (const [index, row] of rows.entries()) bytes.write(row, offsets[index]!)
  const digest = createHash('sha1').update(bytes).digest('base64')
  return { bytes, offsets, digest, size: bytes.length + offsets.byteLength }
}

/** The rows of a part, without a separator at the end. */
export const bytesOf = ({ bytes, offsets }: RenderedRows, { from, to }: ListSlice): Buffer =>
  bytes.subarray(offsets[from], offsets[to]! - SEPARATOR.length)

/** Tells the rows of a part from all others. */
export const digestOf = ({ digest }: RenderedRows, { images, from, to }: ListSlice): string =>
  from === 0 && to === images.length ? digest : `${digest}[${from}-${to}]`
