import { DIGEST, isTag as isReference, REPOSITORY } from '../../sources/registry/image-name.ts'
import type { ImageManager } from './imagemanager.ts'

/** Names of images, as users type them and as registries accept them. */

/** The image of a request. */
export interface ImageRequest {
  system: string
  /** Namespace of the tag: `docker`, `custom`, `id` or `local`. */
  type: string
  tag: string
}

/** The place of an image of type docker in a registry. */
export interface ImageLocation {
  /** Key of `Locations`. */
  location: string
  repository: string
  /** A tag, or a digest `sha256:...`. */
  reference: string
}

const LONGEST_TAG = 1024
const hasControl = (text: string) => /\p{Cc}/u.test(text)

/** Returns whether the text can be the name of an image. */
export const isTag = (tag: string) => tag !== '' && tag.length <= LONGEST_TAG && !hasControl(tag)

/** Adds the tag `latest` to a name without a tag. A colon in the name of a Location belongs to its port. */
export function withDefaultTag({ system, type, tag }: ImageRequest, config: ImageManager): ImageRequest {
  const rest = withoutLocation(tag, config).rest
  const isNamed = type !== 'docker' && type !== 'custom'
  return { system, type, tag: isNamed || rest.includes(':') ? tag : `${tag}:latest` }
}

/** Splits off the first part if it is the key of a Location; otherwise returns the default Location. */
function withoutLocation(tag: string, config: ImageManager): { location: string; rest: string } {
  const [first, ...others] = tag.split('/')
  if (others.length > 0 && Object.hasOwn(config.Locations, first!)) {
    return { location: first!, rest: others.join('/') }
  }
  return { location: config.DefaultImageLocation, rest: tag }
}

/** Parses a name into its Location, repository and reference. Throws an error that says what is wrong with it. */
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
  if (!REPOSITORY.test(repository)) throw new Error(`"${repository}" is not a valid repository name`)
  if (!(at === -1 ? isReference(reference) : DIGEST.test(reference))) {
    throw new Error(`"${reference}" is not a valid ${at === -1 ? 'tag' : 'digest'}`)
  }
  return { location, repository: withLibrary(repository, location, config), reference }
}

/** Completes the short names of official images, which exist on Docker Hub only. */
function withLibrary(repository: string, location: string, config: ImageManager): string {
  const isHub = /(^|\.)docker\.io$/.test(registryUrl(location, config).hostname)
  return isHub && !repository.includes('/') ? `library/${repository}` : repository
}

/** Returns the base URL of the registry of a Location. */
export function registryUrl(location: string, config: ImageManager): URL {
  const url = new URL(config.Locations[location]?.url ?? `https://${location}`)
  // The distribution API of Docker Hub has a host name of its own.
  if (/^(index\.)?docker\.io$/.test(url.hostname)) url.hostname = 'registry-1.docker.io'
  return url
}
