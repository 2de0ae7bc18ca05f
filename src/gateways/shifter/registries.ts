import { HttpClient } from '../../sources/http-client.ts'
import { BlobCache } from '../../sources/registry/blob-cache.ts'
import type { Platform as ImagePlatform } from '../../sources/registry/manifest.ts'
import { RegistryClient } from '../../sources/registry/registry-client.ts'
import type { RetryPolicy } from '../../sources/resumable.ts'
import type { Registries } from './context.ts'
import { type ImageLocation, registryUrl } from './image-name.ts'
import type { ImageManager } from './imagemanager.ts'
import { RegistryFoundImage } from './registry-image.ts'

/** The Locations of the configuration, and a cache of what was fetched from them. */

export interface RegistriesOptions {
  config: ImageManager
  /** Folder of layers. */
  cache: string
  cacheSize: number
  /** Milliseconds without a byte. */
  stallTimeout: number
  /** Bytes a second, on average over that time. */
  minimumRate: number
  userAgent: string
  retry: RetryPolicy
}

/** Somebody waits for the outcome: after a quarter of a minute it is a failure. */
const MOST_RETRIES = 4

/** As the architectures are named in images; systems are taken to be like this host. */
const ARCHITECTURES: Partial<Record<string, string>> = { x64: 'amd64', ia32: '386' }
const PLATFORM: ImagePlatform = {
  os: 'linux',
  architecture: ARCHITECTURES[process.arch] ?? process.arch,
}

export function openRegistries(options: RegistriesOptions): Registries {
  const { config, stallTimeout, minimumRate, userAgent } = options
  const sources = Object.entries(config.Locations).map(([location, { sslcacert }]) => ({
    url: registryUrl(location, config).href,
    ca: sslcacert,
  }))
  // The operator has said where these are, which may be on a private network.
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

/** `user:password`; a password may have colons. */
function parseLogin(login: string | undefined) {
  const colon = login?.indexOf(':') ?? -1
  return colon < 1 ? undefined : { user: login!.slice(0, colon), password: login!.slice(colon + 1) }
}
