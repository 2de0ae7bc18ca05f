import { validationFailed } from './errors.ts'
import type { Image } from './image.ts'
import type { Images } from './images.ts'

/** Chains of origins: a sound set of images has no circle in them, but what was stored elsewhere may have. */

/** No honest chain is longer. */
export const LONGEST_CHAIN = 100

type Member = Pick<Image, 'uuid' | 'origin'>

export const ownAncestor = () =>
  validationFailed([{ field: 'origin', code: 'Invalid', message: 'an image cannot be its own ancestor' }])

/** Also of a chain that never ends, because its origins are a circle. */
export const tooManyOrigins = (uuid: string) => {
  const message = `image ${uuid} has ${LONGEST_CHAIN} origins or more, or they are a circle`
  return validationFailed([{ field: 'origin', code: 'Invalid', message }])
}

/** Whether the image is one of its own origins. */
export async function isInCircle({ manifests }: Images, { uuid, origin }: Image): Promise<boolean> {
  const seen = new Set<string>()
  for (let next = origin; next !== undefined && !seen.has(next); ) {
    if (next === uuid) return true
    seen.add(next)
    next = (await manifests.find(next))?.image.origin
  }
  return false
}

/** The circles among these images, each as the UUIDs of its members: the smallest first, then its origin, and so on. */
export function findCircles(images: Iterable<Member>): string[][] {
  const origins = new Map<string, string>()
  for (const { uuid, origin } of images) if (origin !== undefined) origins.set(uuid, origin)
  const seen = new Set<string>()
  const circles: string[][] = []
  for (const uuid of origins.keys()) {
    const path: string[] = []
    let next: string | undefined = uuid
    for (; next !== undefined && origins.has(next) && !seen.has(next); next = origins.get(next)) {
      seen.add(next)
      path.push(next)
    }
    const start = next === undefined ? -1 : path.indexOf(next)
    if (start !== -1) circles.push(fromSmallest(path.slice(start)))
  }
  return circles
}

function fromSmallest(circle: string[]): string[] {
  const start = circle.indexOf([...circle].sort()[0]!)
  return [...circle.slice(start), ...circle.slice(0, start)]
}

/** Tells the operator about a circle, and how to end it. */
export const circleMessage = (circle: readonly string[]) =>
  `the origins of ${circle.join(', ')} are a circle, so no host can install these images: give one of them another origin, or none ({"origin": null})`
