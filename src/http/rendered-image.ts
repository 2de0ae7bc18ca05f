import { createHash } from 'node:crypto'
import { type Image, toManifest, type View } from '../images/image.ts'
import { render } from './respond.ts'
import type { Sized } from './weak-cache.ts'

export interface RenderedImage extends Sized {
  body: string
  /** SHA-1 of the compact JSON, hex, without quotes, as the reference has it. */
  etag: string
}

export function renderImage(image: Image, view: View): RenderedImage {
  const manifest = toManifest(image, view)
  const etag = createHash('sha1').update(JSON.stringify(manifest)).digest('hex')
  const body = render(manifest)
  return { body, etag, size: memoryOf(body) }
}

/** Bytes that a text takes: one a character, or two if there are others than those of Latin-1. */
export const memoryOf = (text: string) => (Buffer.byteLength(text) === text.length ? 1 : 2) * text.length
