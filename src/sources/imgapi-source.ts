import { isObject } from '../images/rules.ts'
import { type HttpClient, readText, SourceError, withoutCredentials } from './http-client.ts'
import { remoteMessage } from './resumable.ts'

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
  ): Promise<Record<string, unknown>> {
    const url = this.#at(`/images/${uuid}`, { account })
    const headers = { accept: 'application/json', 'accept-version': '~2' }
    const { status, body } = await this.#client.get(url, headers, signal)
    const text = await readText(body, url, signal)
    if (status !== 200) {
      const message = remoteMessage(text) ?? `HTTP ${status}`
      throw new SourceError(message, { isTemporary: status >= 500, status })
    }
    const manifest = parse(text)
    if (!isObject(manifest)) throw new SourceError(`${this.label} does not answer with a manifest`)
    if (manifest.uuid === uuid) return manifest
    throw new SourceError(`${this.label} answers with the manifest of another image`)
  }

  fileUrl(uuid: string, index = 0): URL {
    return this.#at(`/images/${uuid}/file`, { index: index === 0 ? undefined : String(index) })
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
