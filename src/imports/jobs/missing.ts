import { alreadyExists } from '../../images/already-exists.ts'
import { originIsNotActive, remoteSourceError } from '../../images/errors.ts'
import { UUID } from '../../images/fields.ts'
import { isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import { readManifest } from '../../images/intake.ts'
import { LONGEST_CHAIN } from '../../images/origins.ts'
import { SourceError } from '../../sources/http-client.ts'
import type { Manifest } from '../../sources/imgapi/reader.ts'
import type { ImgapiSource } from '../../sources/imgapi/source.ts'

/** Lists what an import has to fetch: the image and its origins, up to the first that exists locally. */

/** Fetches a manifest and normalizes it to the fields that this server knows. Throws RemoteSourceError. */
export async function getManifest(
  source: ImgapiSource,
  uuid: string,
  signal?: AbortSignal,
): Promise<Manifest> {
  const manifest = await source.getImage(uuid, signal ? { signal } : {}).catch(error => {
    if (!(error instanceof SourceError)) throw error
    const message = `Unable to get manifest for image ${uuid}. Error from remote: ${error.message}`
    throw remoteSourceError(message, error)
  })
  return { ...readManifest(manifest), uuid }
}

/**
 * Returns the manifests of the images to import, origins first.
 * Throws RemoteSourceError, OriginIsNotActive or ImageUuidAlreadyExists.
 */
export async function missingManifests(
  images: Images,
  get: (uuid: string) => Promise<Manifest>,
  uuid: string,
): Promise<Manifest[]> {
  const missing = new Map<string, Manifest>()
  for (let next: string | undefined = uuid; next !== undefined; ) {
    const isOrigin: boolean = missing.size > 0
    if (missing.has(next)) throw remoteSourceError(`the origins of image ${uuid} are a circle at the source`)
    if (missing.size === LONGEST_CHAIN) {
      throw remoteSourceError(`image ${uuid} has ${LONGEST_CHAIN} origins or more at the source`)
    }
    const here = await images.manifests.find(next)
    if (here && isActivated(here.image)) {
      if (isOrigin && here.image.state !== 'active') throw originIsNotActive(next)
      break
    }
    if (here) throw isOrigin ? originIsNotActive(next) : alreadyExists(next)
    const manifest: Manifest = await get(next)
    if (isOrigin && manifest.state !== 'active') throw originIsNotActive(next)
    missing.set(next, manifest)
    const { origin } = manifest
    next = typeof origin === 'string' && UUID.test(origin) ? origin : undefined
  }
  return [...missing.values()].reverse()
}
