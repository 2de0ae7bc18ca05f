import type { Images } from './images.ts'
import { isObject } from './rules.ts'

/**
 * Corrects `min_platform` of lx images from imgadm before 3.7.4, which sets it to the platform of the build, so that
 * older hosts refuse images that they could run (IMGAPI-651). As in the reference, the requirement of the origin is
 * used instead, or none if the origin has none.
 */
export async function correctMinPlatform(
  images: Images,
  manifest: Record<string, unknown>,
  userAgent: string | undefined,
): Promise<Record<string, unknown>> {
  const { type, origin, requirements } = manifest
  if (type !== 'lx-dataset' || !isOldImgadm(userAgent) || !isObject(requirements)) return manifest
  const parent = typeof origin === 'string' ? await images.manifests.find(origin) : undefined
  const { min_platform: _, ...others } = requirements
  const min_platform = parent?.image.requirements?.min_platform
  return { ...manifest, requirements: { ...others, ...(min_platform && { min_platform }) } }
}

function isOldImgadm(userAgent = ''): boolean {
  const version = /^imgadm\/(\d+)\.(\d+)\.(\d+)/.exec(userAgent)
  if (!version) return false
  const [major, minor, patch] = version.slice(1).map(Number) as [number, number, number]
  return major < 3 || (major === 3 && (minor < 7 || (minor === 7 && patch < 4)))
}
