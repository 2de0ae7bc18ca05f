import { UUID } from '../images/fields.ts'
import { isObject } from '../images/rules.ts'
import { type HttpClient, readText, SourceError, withoutCredentials } from './http-client.ts'
import { listPages } from './pages.ts'
import { remoteError } from './resumable.ts'

/** As another server answers with it: of the rest of its fields nothing is known yet. */
export type Manifest = Record<string, unknown> & { uuid: string }

const isManifest = (value: unknown): value is Manifest =>
  isObject(value) && typeof value.uuid === 'string' && UUID.test(value.uuid)

/** Some servers know no pages, and their manifests are a few kilobytes each. */
const LONGEST_LIST = 256 * 1024 * 1024

/** Another Image API, as a place that images come from. */
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

  /** Throws SourceError. */
  async getManifest(
    uuid: string,
    { signal, account }: { signal?: AbortSignal; account?: string } = {},
  ): Promise<Manifest> {
    const manifest = await this.#getJson(this.#at(`/images/${uuid}`, { account }), signal)
    if (!isObject(manifest)) throw new SourceError(`${this.label} does not answer with a manifest`)
    if (isManifest(manifest) && manifest.uuid === uuid) return manifest
    throw new SourceError(`${this.label} answers with the manifest of another image`)
  }

  /** Undefined if the source says, in the words of the Image API, that it has no such image. Throws SourceError. */
  async findManifest(uuid: string, signal?: AbortSignal): Promise<Manifest | undefined> {
    return this.getManifest(uuid, signal ? { signal } : {}).catch(error => {
      // Anything may answer 404: a proxy, or a wrong path.
      if (error instanceof SourceError && error.code === 'ResourceNotFound') return undefined
      throw error
    })
  }

  /** Every image that the source lists for us, of any state that it tells us of. Throws SourceError. */
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
