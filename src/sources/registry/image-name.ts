/** Names of docker images: the forms that users type, and those of registries. */

export interface ImageName {
  /** `host[:port]`, or `docker.io`. */
  registry: string
  /** With its namespace: `library/busybox`. */
  repository: string
  /** How to connect, if the name says it: `http://registry:5000/app`. */
  scheme?: 'http' | 'https' | undefined
}

const HUB = 'docker.io'
/** Components of the distribution specification. */
export const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const HOST = /^(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+|[a-z0-9-]+(?=:)|\[[0-9a-f:]+\])(?::\d{1,5})?$/i
const TAG = /^\w[\w.-]{0,127}$/

export const DIGEST = /^sha256:[0-9a-f]{64}$/

export const isTag = (text: string) => TAG.test(text)

/**
 * Parses a name without tag or digest. The first part is a registry if it has a dot or a colon or is `localhost`;
 * otherwise Docker Hub is meant, whose official images have a short name. With a scheme before it the first part
 * must be a registry; http is refused for Docker Hub. Throws an error with a message for the user.
 */
export function parseImageName(text: string): ImageName {
  const [, scheme, name] = /^(?:(https?):\/\/)?(.*)$/s.exec(text) as unknown as [
    string,
    ImageName['scheme'],
    string,
  ]
  const slash = name.indexOf('/')
  const first = name.slice(0, Math.max(slash, 0))
  const hasRegistry = HOST.test(first)
  const registry = !hasRegistry || /^(?:index\.|registry-1\.)?docker\.io$/i.test(first) ? HUB : first
  const rest = hasRegistry ? name.slice(slash + 1) : name
  const repository = registry === HUB && !rest.includes('/') ? `library/${rest}` : rest
  const isHost = URL.canParse(`https://${registry}`) && (hasRegistry || !scheme)
  if (!isHost || !REPOSITORY.test(repository) || repository.length > 255) {
    throw new Error(`"${text}" is not a valid repository name`)
  }
  if (registry === HUB && scheme === 'http') throw new Error(`"${text}": Docker Hub is not asked without TLS`)
  return { registry, repository, ...(scheme && { scheme }) }
}

/** Returns the short form, without the defaults: `busybox`. */
export const shortName = ({ registry, repository }: ImageName) =>
  registry === HUB ? repository.replace(/^library\//, '') : `${registry}/${repository}`

/** Returns the form with the registry: `docker.io/busybox`. */
export const canonicalName = (name: ImageName) =>
  name.registry === HUB ? `${HUB}/${shortName(name)}` : shortName(name)

/** Docker Hub answers the distribution API under another name. */
export const registryUrl = (registry: string, scheme = 'https') =>
  new URL(`${scheme}://${registry === HUB ? 'registry-1.docker.io' : registry}`)
