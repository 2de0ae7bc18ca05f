import { LONGEST_CHAIN } from '../../images/origins.ts'
import type { ImgapiClient } from '../client.ts'
import type { RemoteImage } from '../types.ts'
import { BundleError } from './bundle-error.ts'

/**
 * Fetches the manifests of images and of all their origins: each once, origins first. Throws BundleError for an
 * image that does not exist or cannot be installed, and ClientError.
 */
export async function collect(client: ImgapiClient, uuids: readonly string[]): Promise<RemoteImage[]> {
  const found = new Map<string, RemoteImage>()
  for (const uuid of uuids) {
    const chain: RemoteImage[] = []
    for (let next: string | undefined = uuid; next !== undefined && !found.has(next); ) {
      const image: RemoteImage | undefined = await client.findImage(next)
      if (!image) {
        const whose = next === uuid ? '' : `, the origin of image ${chain[0]!.uuid}`
        throw new BundleError(`${client.url.href} has no image ${next}${whose}`, { isNotFound: true })
      }
      if (image.state !== undefined && image.state !== 'active' && image.state !== 'disabled') {
        throw new BundleError(`image ${next} is not activated: it could not be installed`)
      }
      if (chain.some(other => other.uuid === image.uuid)) {
        throw new BundleError(`the origins of image ${uuid} form a cycle: it could not be installed`)
      }
      if (chain.push(image) > LONGEST_CHAIN) throw new BundleError(`image ${uuid} has too many origins`)
      next = image.origin
    }
    for (const image of chain.reverse()) found.set(image.uuid, image)
  }
  return [...found.values()]
}
