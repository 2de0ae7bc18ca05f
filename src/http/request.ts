import type { IncomingFile } from '../images/files.ts'
import { openBody, readBody } from './body.ts'
import type { Exchange } from './exchange.ts'

/** A request, whatever its protocol. */
export class HttpRequest {
  readonly exchange: Exchange
  readonly #parameters: Readonly<Record<string, string>>

  /** `parameters`: the named parts of the path, decoded. */
  constructor(exchange: Exchange, parameters: Readonly<Record<string, string>>) {
    this.exchange = exchange
    this.#parameters = parameters
  }

  /** Returns a named part of the path, decoded, or an empty string if the path has no such part. */
  param(name: string): string {
    return this.#parameters[name] ?? ''
  }

  get headers() {
    return this.exchange.incoming.headers
  }

  /** Returns a header; undefined if it is absent or empty. */
  header(name: string): string | undefined {
    const value = this.headers[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }

  /** The query as sent, without the question mark. */
  get search(): string {
    const { url = '' } = this.exchange.incoming
    const question = url.indexOf('?')
    return question === -1 ? '' : url.slice(question + 1)
  }

  /** Reads the body as a value, within `timeout` milliseconds. Throws InvalidContent, BadDigest or PayloadTooLarge. */
  readBody(timeout: number): Promise<unknown> {
    return readBody(this.exchange, timeout)
  }

  /** Returns the body as a file. `100 Continue` is not sent until the file is opened. */
  file(): IncomingFile {
    const length = this.header('content-length')
    return {
      size: length === undefined ? undefined : Number(length),
      md5: this.header('content-md5'),
      open: () => openBody(this.exchange),
    }
  }
}
