import { createHash } from 'node:crypto'
import { type Image, toManifest, type View } from '../images/image.ts'
import { render } from './respond.ts'
import type { Sized } from './weak-cache.ts'

/** The manifest of an image as JSON. */
export interface RenderedImage extends Sized {
  body: string
  /** Unquoted: the hex SHA-1 of the compact JSON, as in the reference. */
  etag: string
}

/** Renders the fields of a manifest that `view` allows. */
export function renderImage(image: Image, view: View): RenderedImage {
  const manifest = toManifest(image, view)
  const etag = createHash('sha1').update(JSON.stringify(manifest)).digest('hex')
  const body = render(manifest)
  return { body, etag, size: memoryOf(body) }
}

/** Returns the bytes of memory of a string: one a character if it is all Latin-1, otherwise two. */
export const memoryOf = (text: string) => (Buffer.byteLength(text) === text.length ? 1 : 2) * text.length
