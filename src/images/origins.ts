import { validationFailed } from './errors.ts'
import type { Image } from './image.ts'
import type { Images } from './images.ts'

/** Chains of origins. This server never stores a circle, but data from elsewhere may contain one. */

/** The limit for a chain of origins, far above what real images need. */
export const LONGEST_CHAIN = 100

type Member = Pick<Image, 'uuid' | 'origin'>

/** Makes the error for an origin that would close a circle. */
export const ownAncestor = () =>
  validationFailed([{ field: 'origin', code: 'Invalid', message: 'an image cannot be its own ancestor' }])

/** Makes the error for a chain that is too long or, because it is a circle, never ends. */
export const tooManyOrigins = (uuid: string) => {
  const message = `image ${uuid} has ${LONGEST_CHAIN} origins or more, or they are a circle`
  return validationFailed([{ field: 'origin', code: 'Invalid', message }])
}

/** Returns whether the image is one of its own origins. */
export async function isInCircle({ manifests }: Images, { uuid, origin }: Image): Promise<boolean> {
  const seen = new Set<string>()
  for (let next = origin; next !== undefined && !seen.has(next); ) {
    if (next === uuid) return true
    seen.add(next)
    next = (await manifests.find(next))?.image.origin
  }
  return false
}

/** Finds circles of origins. Returns the UUIDs of each: the smallest first, then its origin, and so on. */
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

/** Explains a circle to the operator, and how to end it. */
export const circleMessage = (circle: readonly string[]) =>
  `the origins of ${circle.join(', ')} are a circle, so no host can install these images: give one of them another origin, or none ({"origin": null})`
