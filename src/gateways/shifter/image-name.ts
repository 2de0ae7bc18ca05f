import { DIGEST, isTag as isReference, REPOSITORY } from '../../sources/registry/image-name.ts'
import type { ImageManager } from './imagemanager.ts'

/** Names of images, as people type them and as registries take them. */

/** What a request is about. */
export interface ImageRequest {
  system: string
  /** `docker`, `custom`, `id`, `local`: a space of names. */
  type: string
  tag: string
}

/** Where an image of type docker comes from. */
export interface ImageLocation {
  /** Key of `Locations`. */
  location: string
  repository: string
  /** A tag, or a digest `sha256:...`. */
  reference: string
}

const LONGEST_TAG = 1024
const hasControl = (text: string) => /\p{Cc}/u.test(text)

/** Whether it can be the name of an image at all. */
export const isTag = (tag: string) => tag !== '' && tag.length <= LONGEST_TAG && !hasControl(tag)

/** Without a tag `latest` is meant. A colon may be that of a registry's port, which is no tag. */
export function withDefaultTag({ system, type, tag }: ImageRequest, config: ImageManager): ImageRequest {
  const rest = withoutLocation(tag, config).rest
  const isNamed = type !== 'docker' && type !== 'custom'
  return { system, type, tag: isNamed || rest.includes(':') ? tag : `${tag}:latest` }
}

/** The first part is a Location if it is the key of one; otherwise the default one is meant. */
function withoutLocation(tag: string, config: ImageManager): { location: string; rest: string } {
  const [first, ...others] = tag.split('/')
  if (others.length > 0 && Object.hasOwn(config.Locations, first!)) {
    return { location: first!, rest: others.join('/') }
  }
  return { location: config.DefaultImageLocation, rest: tag }
}

/** Where to ask for it. Throws an error that says what is wrong with the name. */
export function locate(tag: string, config: ImageManager): ImageLocation {
  const { location, rest } = withoutLocation(tag, config)
  const at = rest.indexOf('@')
  const colon = rest.indexOf(':')
  const cut = at === -1 ? colon : at
  const repository = cut === -1 ? rest : rest.slice(0, cut)
  const reference = cut === -1 ? 'latest' : rest.slice(cut + 1)
  if (reference.includes('/')) {
    throw new Error(`"${rest.slice(0, rest.indexOf('/'))}" is not the key of one of the Locations`)
  }
  if (!REPOSITORY.test(repository)) throw new Error(`"${repository}" is no name of a repository`)
  if (!(at === -1 ? isReference(reference) : DIGEST.test(reference))) {
    throw new Error(`"${reference}" is no ${at === -1 ? 'tag' : 'digest'} of an image`)
  }
  return { location, repository: withLibrary(repository, location, config), reference }
}

/** Official images have a short name on Docker Hub alone. */
function withLibrary(repository: string, location: string, config: ImageManager): string {
  const isHub = /(^|\.)docker\.io$/.test(registryUrl(location, config).hostname)
  return isHub && !repository.includes('/') ? `library/${repository}` : repository
}

export function registryUrl(location: string, config: ImageManager): URL {
  const url = new URL(config.Locations[location]?.url ?? `https://${location}`)
  // Known by this name everywhere, but it answers the distribution API under another.
  if (/^(index\.)?docker\.io$/.test(url.hostname)) url.hostname = 'registry-1.docker.io'
  return url
}
