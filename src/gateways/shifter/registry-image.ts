import type { Readable } from 'node:stream'
import PQueue from 'p-queue'
import { convertLayers } from '../../layers/convert-layers.ts'
import type { BlobCache, Lease } from '../../sources/registry/blob-cache.ts'
import type { RegistryImage } from '../../sources/registry/registry-client.ts'
import { ownProgram } from '../../util/own-program.ts'
import type { FoundImage } from './context.ts'
import { checkFree } from './disk.ts'
import type { ImageConfig } from './record.ts'

export interface RegistryImageOptions {
  /** The folder of the cache of layers. */
  cache: string
  /** The Location of the image. Fetches of the same layers from other Locations are not waited for. */
  source: string
  /** Options for the converter, in place of its defaults. */
  converterOptions: readonly string[] | undefined
}

/** Layers of one image that are fetched at the same time. */
const AT_ONCE = 3

/** An image of a registry, whose layers are locked in the cache from `fetch` to `release`. */
export class RegistryFoundImage implements FoundImage {
  readonly id: string
  readonly isPrivate: boolean
  readonly config: ImageConfig
  readonly size: number
  readonly #layers: RegistryImage['layers']
  readonly #cache: BlobCache
  readonly #options: RegistryImageOptions
  readonly #open: (layer: number, offset: number) => Readable
  #leases: Lease[] = []

  /** `open`: opens a layer for reading from an offset. */
  constructor(
    image: RegistryImage,
    cache: BlobCache,
    options: RegistryImageOptions,
    open: (layer: number, offset: number) => Readable,
  ) {
    this.id = image.digest.slice('sha256:'.length)
    this.isPrivate = image.isPrivate
    this.config = configOf(image)
    this.size = image.layers.reduce((sum, { size }) => sum + size, 0)
    this.#layers = image.layers
    this.#cache = cache
    this.#options = options
    this.#open = open
  }

  async fetch() {
    if (this.#leases.length > 0) return
    await checkFree(this.#options.cache, this.size)
    const queue = new PQueue({ concurrency: AT_ONCE })
    const results = await Promise.allSettled(
      this.#layers.map((layer, index) =>
        queue.add(() => this.#cache.lease(layer, offset => this.#open(index, offset), this.#options.source)),
      ),
    )
    this.#leases = results.flatMap(one => (one.status === 'fulfilled' ? [one.value!] : []))
    const failed = results.find(one => one.status === 'rejected')
    if (failed) throw failed.reason
  }

  async convert(path: string, signal: AbortSignal) {
    const layers = this.#leases.map(lease => lease.path)
    const order = { layers, path, options: this.#options.converterOptions }
    return convertLayers(order, signal, ownProgram())
  }

  async release() {
    for (const lease of this.#leases.splice(0)) await lease.release()
  }
}

function configOf({ config: { config } }: RegistryImage): ImageConfig {
  return {
    env: config?.Env ?? [],
    entry: config?.Entrypoint ?? [],
    cmd: config?.Cmd ?? [],
    workdir: config?.WorkingDir || undefined,
    labels: config?.Labels ?? undefined,
  }
}
