import { type HttpClient, readText, SourceError, withoutCredentials } from '../http-client.ts'
import { readErrorBody } from './error-body.ts'
import { ImgapiReader, isManifest, type Manifest } from './reader.ts'
import { API_HEADERS, type Transport } from './transport.ts'

/** A server from which this server imports. Throws SourceError. */
export class ImgapiSource extends ImgapiReader {
  /** Its URL without credentials. */
  readonly label: string

  /** The URL may have credentials and `?channel=`. */
  constructor(client: HttpClient, url: URL) {
    const label = withoutCredentials(url)
    super(guardedTransport(client, label), url)
    this.label = label
  }

  /** Fetches all manifests that the source lists for this client, of any state. */
  async listManifests(signal?: AbortSignal): Promise<Manifest[]> {
    return (await this.listImages({ state: 'all' }, signal)).filter(isManifest)
  }
}

/** Sends requests over the client of the server, which checks addresses, pace and certificates. */
const guardedTransport = (client: HttpClient, label: string): Transport => ({
  async exchange({ url, signal, longest }) {
    const { status, headers, bytes } = await client.get(url, API_HEADERS, signal)
    return { status, headers, body: await readText(bytes, url, signal, longest) }
  },
  answerError(_request, { status, body }, problem) {
    if (problem !== undefined) return new SourceError(`${label} ${problem}`)
    const { code, message = `HTTP ${status}` } = readErrorBody(body)
    return new SourceError(message, { isTemporary: status >= 500, status, code })
  },
})
