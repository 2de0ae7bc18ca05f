import { UUID } from '../images/fields.ts'
import { isObject } from '../images/rules.ts'
import { type HttpClient, readText, SourceError, withoutCredentials } from './http-client.ts'
import { listPages } from './pages.ts'
import { remoteError } from './resumable.ts'

/** A manifest from another server. Only `uuid` has been validated. */
export type Manifest = Record<string, unknown> & { uuid: string }

const isManifest = (value: unknown): value is Manifest =>
  isObject(value) && typeof value.uuid === 'string' && UUID.test(value.uuid)

/** Bytes. Some servers have no paging, and their manifests have a few kilobytes each. */
const LONGEST_LIST = 256 * 1024 * 1024

/** Reads from another Image API. */
export class ImgapiSource {
  /** Its URL without credentials. */
  readonly label: string
  readonly #client: HttpClient
  readonly #url: URL

  /** The URL may carry credentials and `?channel=`. */
  constructor(client: HttpClient, url: URL) {
    this.#client = client
    this.#url = url
    this.label = withoutCredentials(url)
  }

  /** Fetches a manifest. Throws SourceError. */
  async getManifest(
    uuid: string,
    { signal, account }: { signal?: AbortSignal; account?: string } = {},
  ): Promise<Manifest> {
    const manifest = await this.#getJson(this.#at(`/images/${uuid}`, { account }), signal)
    if (!isObject(manifest)) throw new SourceError(`${this.label} does not answer with a manifest`)
    if (isManifest(manifest) && manifest.uuid === uuid) return manifest
    throw new SourceError(`${this.label} answers with the manifest of another image`)
  }

  /** Fetches a manifest. Returns undefined if the source answers with ResourceNotFound. Throws SourceError. */
  async findManifest(uuid: string, signal?: AbortSignal): Promise<Manifest | undefined> {
    return this.getManifest(uuid, signal ? { signal } : {}).catch(error => {
      // The status alone proves nothing: a proxy or a wrong path may answer 404 too.
      if (error instanceof SourceError && error.code === 'ResourceNotFound') return undefined
      throw error
    })
  }

  /** Fetches all manifests that the source lists for this client, of any state. Throws SourceError. */
  async listManifests(signal?: AbortSignal): Promise<Manifest[]> {
    const found: Manifest[] = []
    const fetchPage = async (page: { limit: string; marker?: string }) => {
      const list = await this.#getJson(this.#at('/images', { state: 'all', ...page }), signal, LONGEST_LIST)
      if (Array.isArray(list) && list.every(isObject)) return list as Manifest[]
      throw new SourceError(`${this.label} does not answer with a list of images`)
    }
    for await (const page of listPages(fetchPage)) found.push(...page.filter(isManifest))
    return found
  }

  fileUrl(uuid: string, index = 0): URL {
    return this.#at(`/images/${uuid}/file`, { index: index === 0 ? undefined : String(index) })
  }

  iconUrl(uuid: string): URL {
    return this.#at(`/images/${uuid}/icon`, {})
  }

  async #getJson(url: URL, signal?: AbortSignal, longest?: number): Promise<unknown> {
    const headers = { accept: 'application/json', 'accept-version': '~2' }
    const { status, bytes } = await this.#client.get(url, headers, signal)
    const text = await readText(bytes, url, signal, longest)
    if (status !== 200) {
      const { code, message = `HTTP ${status}` } = remoteError(text)
      throw new SourceError(message, { isTemporary: status >= 500, status, code })
    }
    return parse(text)
  }

  #at(path: string, parameters: Record<string, string | undefined>): URL {
    const url = new URL(this.#url.href)
    url.pathname = url.pathname.replace(/\/+$/, '') + path
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== undefined) url.searchParams.set(name, value)
    }
    return url
  }
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
