import { HttpClient } from '../../sources/http-client.ts'
import { BlobCache } from '../../sources/registry/blob-cache.ts'
import type { Platform as ImagePlatform } from '../../sources/registry/manifest.ts'
import { RegistryClient } from '../../sources/registry/registry-client.ts'
import type { RetryPolicy } from '../../sources/retry.ts'
import type { Registries } from './context.ts'
import { type ImageLocation, registryUrl } from './image-name.ts'
import type { ImageManager } from './imagemanager.ts'
import { RegistryFoundImage } from './registry-image.ts'

/** The registries of the configured Locations, and the cache of their layers. */

export interface RegistriesOptions {
  config: ImageManager
  /** Folder of the cache of layers. */
  cache: string
  cacheSize: number
  /** Milliseconds without a byte after which a transfer fails. */
  stallTimeout: number
  /** Bytes a second, on average over `stallTimeout`, below which a transfer fails. */
  minimumRate: number
  userAgent: string
  retry: RetryPolicy
}

/** A client waits for the result: with these retries a failure takes about 15 seconds. */
const MOST_RETRIES = 4

/** Names of architectures in images. Systems are assumed to have the architecture of this host. */
const ARCHITECTURES: Partial<Record<string, string>> = { x64: 'amd64', ia32: '386' }
const PLATFORM: ImagePlatform = {
  os: 'linux',
  architecture: ARCHITECTURES[process.arch] ?? process.arch,
}

/** Opens the Locations of a configuration. */
export function openRegistries(options: RegistriesOptions): Registries {
  const { config, stallTimeout, minimumRate, userAgent } = options
  const sources = Object.entries(config.Locations).map(([location, { sslcacert }]) => ({
    url: registryUrl(location, config).href,
    ca: sslcacert,
  }))
  // The operator configured these addresses, so they may be private.
  const client = new HttpClient({ allowPrivate: true, stallTimeout, minimumRate, userAgent, sources })
  const cache = new BlobCache(options.cache, options.cacheSize)
  const retry = { ...options.retry, retries: Math.min(options.retry.retries, MOST_RETRIES) }
  const imageOptions = { cache: options.cache, converterOptions: config.ConverterOptions.squashfs }
  return {
    async find({ location, repository, reference }: ImageLocation, login, signal) {
      const url = registryUrl(location, config)
      const registry = new RegistryClient({ client, url, credentials: parseLogin(login), retry })
      const found = await registry.resolve(repository, reference, { platform: PLATFORM, signal })
      return new RegistryFoundImage(found, cache, { ...imageOptions, source: location }, (index, offset) =>
        registry.blob(repository, found.layers[index]!, offset, signal),
      )
    },
    close: () => client.close(),
  }
}

/** Parses `user:password`; the password may have colons. */
function parseLogin(login: string | undefined) {
  const colon = login?.indexOf(':') ?? -1
  return colon < 1 ? undefined : { user: login!.slice(0, colon), password: login!.slice(colon + 1) }
}
