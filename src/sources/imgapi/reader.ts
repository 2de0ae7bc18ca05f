import { UUID } from '../../images/fields.ts'
import { isObject } from '../../images/rules.ts'
import { LONGEST_TEXT } from '../collect-text.ts'
import { listPages } from './pages.ts'
import { exchangeJson, LONGEST_LIST, type Transport } from './transport.ts'

/** A manifest from another server. Only `uuid` has been validated. */
export type Manifest = Record<string, unknown> & { uuid: string }

export type Query = Record<string, string | undefined>

interface GetOptions {
  /** The account on whose behalf the image is requested. */
  account?: string | undefined
  signal?: AbortSignal | undefined
}

/**
 * Reads images from a server of the Image API. Its methods throw the errors of the transport. `T`: the fields of a
 * manifest that the caller relies on; they are not validated.
 */
export class ImgapiReader<T extends Manifest = Manifest> {
  readonly #transport: Transport
  readonly #base: URL

  /** `base` may have credentials, if the transport uses these, a path, and `?channel=`. */
  constructor(transport: Transport, base: URL) {
    this.#transport = transport
    this.#base = base
  }

  async getImage(uuid: string, { account, signal }: GetOptions = {}): Promise<T> {
    const request = { url: this.at(`/images/${uuid}`, { account }), signal, longest: LONGEST_TEXT }
    return (await exchangeJson(this.#transport, request, value => notManifestOf(uuid, value))) as T
  }

  /** Returns undefined if the server says that it has no such image. */
  async findImage(uuid: string, signal?: AbortSignal): Promise<T | undefined> {
    try {
      return await this.getImage(uuid, { signal })
    } catch (error) {
      // The status alone proves nothing: a proxy or a wrong path may answer 404 too.
      if ((error as { code?: unknown }).code === 'ResourceNotFound') return undefined
      throw error
    }
  }

  /** Yields the images that match the filters of ListImages, a page at a time. */
  listPages(filters: Query = {}, signal?: AbortSignal): AsyncGenerator<T[]> {
    return listPages(async page => {
      const request = { url: this.at('/images', { ...filters, ...page }), signal, longest: LONGEST_LIST }
      return (await exchangeJson(this.#transport, request, notList)) as T[]
    })
  }

  async listImages(filters: Query = {}, signal?: AbortSignal): Promise<T[]> {
    const images: T[] = []
    for await (const page of this.listPages(filters, signal)) images.push(...page)
    return images
  }

  fileUrl(uuid: string, index = 0): URL {
    return this.at(`/images/${uuid}/file`, { index: index === 0 ? undefined : String(index) })
  }

  iconUrl(uuid: string): URL {
    return this.at(`/images/${uuid}/icon`)
  }

  /** Returns the URL of a path of the API. Parameters that are undefined are left out. */
  protected at(path: string, query: Query = {}): URL {
    const url = new URL(this.#base.href)
    url.pathname = url.pathname.replace(/\/+$/, '') + path
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, value)
    }
    return url
  }
}

export const isManifest = (value: unknown): value is Manifest =>
  isObject(value) && typeof value.uuid === 'string' && UUID.test(value.uuid)

function notManifestOf(uuid: string, value: unknown): string | undefined {
  if (!isObject(value)) return 'does not answer with a manifest'
  return value.uuid === uuid ? undefined : 'answers with the manifest of another image'
}

const notList = (value: unknown) =>
  Array.isArray(value) && value.every(isObject) ? undefined : 'does not answer with a list of images'
