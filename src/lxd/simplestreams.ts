import { z } from 'zod'
import { ImgapiError } from '../images/errors.ts'
import { type HttpClient, readText, SourceError, withoutCredentials } from '../sources/http-client.ts'
import { QUICK_RETRY, statusError, withRetries } from '../sources/resumable.ts'
import { chooseImage, type StreamImage } from './products.ts'

/** An image server that speaks simplestreams, as those for LXD do. */

/** Those that LXD knows by these names. */
export const LXD_REGISTRIES = {
  images: 'https://images.lxd.canonical.com',
  ubuntu: 'https://cloud-images.ubuntu.com/releases',
}

const Index = z.object({
  index: z.record(z.string(), z.looseObject({ datatype: z.string().optional(), path: z.unknown() })),
})
const Products = z.object({ products: z.record(z.string(), z.unknown()) })

/** Bytes. The lists of the large public servers have a few mebibytes. */
const LONGEST_LIST = 32 * 1024 * 1024

export class SimpleStreams {
  readonly #client: HttpClient
  /** Ends with a slash, so that paths are relative to it. */
  readonly #url: URL

  constructor(client: HttpClient, url: URL) {
    this.#client = client
    this.#url = new URL(url.href)
    if (!this.#url.pathname.endsWith('/')) this.#url.pathname += '/'
  }

  /** Finds an image by its alias. Throws ResourceNotFound, SourceError, or an error that says what is wrong. */
  async find(alias: string, signal: AbortSignal): Promise<StreamImage> {
    const { index } = await this.#get('streams/v1/index.json', Index, signal)
    const lists = Object.values(index).filter(({ datatype }) => datatype === 'image-downloads')
    for (const { path } of lists) {
      if (typeof path !== 'string') continue
      const { products } = await this.#get(path, Products, signal)
      const found = chooseImage(products, alias)
      if (found) return found
    }
    throw new ImgapiError(
      'ResourceNotFound',
      `image "${alias}" was not found at ${withoutCredentials(this.#url)}`,
    )
  }

  /** Where a path of a list leads to: paths are not encoded there; whole URLs are. */
  resolve(path: string): URL {
    if (/^https?:\/\//i.test(path) && URL.canParse(path)) return new URL(path)
    return new URL(path.split('/').map(encodeURIComponent).join('/'), this.#url)
  }

  async #get<T>(path: string, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const url = this.resolve(path)
    const ask = async () => {
      const { status, body } = await this.#client.get(url, { accept: 'application/json' }, signal)
      const text = await readText(body, url, signal, LONGEST_LIST)
      if (status !== 200) throw statusError(url, status, text)
      return text
    }
    const result = schema.safeParse(parse(await withRetries(ask, { retry: QUICK_RETRY, signal })))
    if (result.success) return result.data
    throw new SourceError(`${withoutCredentials(url)} is not what simplestreams has there`)
  }
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
