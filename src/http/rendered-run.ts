import { createHash } from 'node:crypto'
import { type Image, toManifest, type View } from '../images/image.ts'
import type { Run } from '../images/listing.ts'

/** Lists as bytes that are made once: a list is put together from the runs that have not changed. */

interface RenderedRows {
  /** The manifests as rows of a JSON array, with the commas and line breaks between them. */
  bytes: Buffer
  /** Where each row begins; one more than there are rows. */
  offsets: Uint32Array
  digest: string
}

/** Bytes of rendered rows to keep: about the list of a hundred thousand images. */
const MOST_BYTES = 160 * 1024 * 1024

const SEPARATOR = ',\n'

export const viewKey = (view: View) =>
  Number(view.operatorFields) + 2 * Number(view.channels) + 4 * Number(view.adminFields)

/** By array and view, oldest first. */
const cache = new Map<readonly Image[], Map<number, RenderedRows>>()
let cachedBytes = 0

/** The rows of a run, without a separator at the end, and a digest that tells it from every other. */
export function renderRun({ images, from, to }: Run, view: View): { bytes: Buffer; digest: string } {
  const rows = rowsOf(images, view)
  const isWhole = from === 0 && to === images.length
  const bytes = rows.bytes.subarray(rows.offsets[from], rows.offsets[to]! - SEPARATOR.length)
  return { bytes, digest: isWhole ? rows.digest : `${rows.digest}[${from}-${to}]` }
}

function rowsOf(images: readonly Image[], view: View): RenderedRows {
  const key = viewKey(view)
  let byView = cache.get(images)
  if (!byView) {
    byView = new Map()
    cache.set(images, byView)
  }
  let rows = byView.get(key)
  if (!rows) {
    rows = renderRows(images, view)
    byView.set(key, rows)
    cachedBytes += rows.bytes.length
    dropOldest()
  }
  return rows
}

function renderRows(images: readonly Image[], view: View): RenderedRows {
  const offsets = new Uint32Array(images.length + 1)
  const rows = images.map((image, index) => {
    // As the only item of an array it comes indented as it must be in a longer one.
    const row = Buffer.from(JSON.stringify([toManifest(image, view)], null, 2).slice(2, -2) + SEPARATOR)
    offsets[index + 1] = offsets[index]! + row.length
    return row
  })
  const bytes = Buffer.concat(rows)
  return { bytes, offsets, digest: createHash('sha1').update(bytes).digest('base64') }
}

function dropOldest() {
  while (cachedBytes > MOST_BYTES && cache.size > 1) {
    const [images, byView] = cache.entries().next().value!
    cache.delete(images)
    for (const { bytes } of byView.values()) cachedBytes -= bytes.length
  }
}
