import { type HttpClient, SourceError, withoutCredentials } from './http-client.ts'
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
    const text = await body.text()
    if (status !== 200) {
      const message = remoteMessage(text) ?? `HTTP ${status}`
      throw new SourceError(message, { isTemporary: status >= 500, status })
    }
    try {
      const manifest: unknown = JSON.parse(text)
      if (typeof manifest === 'object' && manifest !== null) return manifest as Record<string, unknown>
    } catch {
      // The same answer as for JSON of another kind.
    }
    throw new SourceError(`${this.label} does not answer with a manifest`)
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
