import { z } from 'zod'
import type { HttpClient } from '../../sources/http-client.ts'
import { download } from '../../sources/resumable.ts'
import {
  type FoundImage,
  getJson,
  type ImageServer,
  imageNotFound,
  type Transfer,
  withSlash,
} from './image-server.ts'
import { chooseImage, type StreamFile } from './products.ts'

const Index = z.object({
  index: z.record(z.string(), z.looseObject({ datatype: z.string().optional(), path: z.unknown() })),
})
const Products = z.object({ products: z.record(z.string(), z.unknown()) })

/** An image server with the simplestreams protocol, which the public servers for LXD and Incus use. */
export class SimpleStreams implements ImageServer {
  readonly #client: HttpClient
  readonly #url: URL

  constructor(client: HttpClient, url: URL) {
    this.#client = client
    this.#url = withSlash(url)
  }

  async find(alias: string, signal: AbortSignal): Promise<FoundImage> {
    const { index } = await this.#get('streams/v1/index.json', Index, signal)
    const lists = Object.values(index).filter(({ datatype }) => datatype === 'image-downloads')
    for (const { path } of lists) {
      if (typeof path !== 'string') continue
      const { products } = await this.#get(path, Products, signal)
      const found = chooseImage(products, alias)
      if (!found) continue
      const { files, ...description } = found
      return { ...description, listed: files, files: transfer => this.#download(files, transfer) }
    }
    return imageNotFound(alias, this.#url)
  }

  async *#download(files: readonly StreamFile[], transfer: Transfer) {
    for (const file of files) {
      const options = { ...transfer, offset: 0, expectedSize: file.size, isVerified: true }
      yield { ...file, source: download(this.#client, this.#resolve(file.path), options) }
    }
  }

  /** Resolves a path from a list. Lists have paths unencoded, and full URLs encoded. */
  #resolve(path: string): URL {
    if (/^https?:\/\//i.test(path) && URL.canParse(path)) return new URL(path)
    return new URL(path.split('/').map(encodeURIComponent).join('/'), this.#url)
  }

  #get<T>(path: string, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    return getJson(this.#client, this.#resolve(path), { schema, protocol: 'simplestreams', signal })
  }
}
