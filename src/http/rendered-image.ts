import { createHash } from 'node:crypto'
import { type Image, toManifest, type View } from '../images/image.ts'
import { viewKey } from './rendered-run.ts'
import { render } from './respond.ts'

export interface RenderedImage {
  body: string
  /** SHA-1 of the compact JSON, hex, without quotes, as the reference has it. */
  etag: string
}

/** Images never change in place, so what was made of one is good as long as it is. */
const renderings = new WeakMap<Image, Map<number, RenderedImage>>()

export function renderImage(image: Image, view: View): RenderedImage {
  const key = viewKey(view)
  let byView = renderings.get(image)
  if (!byView) {
    byView = new Map()
    renderings.set(image, byView)
  }
  let rendering = byView.get(key)
  if (!rendering) {
    const manifest = toManifest(image, view)
    const etag = createHash('sha1').update(JSON.stringify(manifest)).digest('hex')
    rendering = { body: render(manifest), etag }
    byView.set(key, rendering)
  }
  return rendering
}
