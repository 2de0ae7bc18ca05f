import { Readable } from 'node:stream'
import { Agent, type Dispatcher, request as sendRequest } from 'undici'
import { collectText } from '../sources/collect-text.ts'
import type { SourceAnswer } from '../sources/http-client.ts'
import { API_HEADERS, type ApiAnswer, type ApiRequest, type Transport } from '../sources/imgapi/transport.ts'
import { type Authorize, authorizer } from './authorization.ts'
import { answerError, connectionError, tooLongError } from './client-error.ts'
import type { Target } from './target.ts'

/** A request of the command line. */
export interface ClientRequest extends ApiRequest {
  method?: Dispatcher.HttpMethod
  headers?: Record<string, string>
  /** Bytes, a stream, or a value that is sent as JSON. */
  body?: unknown
}

export interface TransportOptions {
  userAgent: string
  /** Aborts every request to the API. */
  signal?: AbortSignal | undefined
}

const CONNECT_TIMEOUT = 15_000
/** A server may have to sync gigabytes to its disk before it answers an upload. */
const ANSWER_TIMEOUT = 10 * 60_000
/** Milliseconds without a byte after which a response fails. */
const STALL_TIMEOUT = 60_000

/**
 * The connections of the command line to one server, with the user's credentials. Redirects are not followed. Throws
 * ClientError, and the reason of the signal once that is aborted.
 */
export class ClientTransport implements Transport<ClientRequest> {
  readonly #options: TransportOptions
  readonly #agent: Agent
  readonly #authorize: Authorize

  /** Throws TargetError if the key of the user cannot be used. */
  constructor(
    { credentials, insecure }: Pick<Target, 'credentials' | 'insecure'>,
    options: TransportOptions,
  ) {
    this.#options = options
    this.#authorize = authorizer(credentials)
    this.#agent = new Agent({
      headersTimeout: ANSWER_TIMEOUT,
      bodyTimeout: STALL_TIMEOUT,
      connect: { timeout: CONNECT_TIMEOUT, ...(insecure && { rejectUnauthorized: false }) },
    })
  }

  async exchange(request: ClientRequest): Promise<ApiAnswer> {
    const { signal } = this.#options
    const info = infoOf(request)
    try {
      const { statusCode: status, headers, body } = await this.#send(request, signal)
      const text = await collectText(body, request.longest, () => tooLongError(info, request.longest))
      return { status, headers, body: text }
    } catch (error) {
      signal?.throwIfAborted()
      throw connectionError(info, error)
    }
  }

  answerError(request: ClientRequest, answer: ApiAnswer, problem?: string): Error {
    return answerError(infoOf(request), answer, problem)
  }

  /** Returns a response of any status with its body unread, for a resumable download. */
  async get(url: URL, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<SourceAnswer> {
    const answer = await this.#send({ url, headers }, signal)
    const { statusCode: status, headers: found } = answer
    const body = answer.body as SourceAnswer['body']
    return { origin: url.origin, status, headers: found, body, bytes: body }
  }

  close() {
    return this.#agent.destroy()
  }

  #send({ url, method = 'GET', headers, body }: Omit<ClientRequest, 'longest'>, signal?: AbortSignal) {
    const isRaw = body === undefined || Buffer.isBuffer(body) || isStream(body)
    return sendRequest(url.href, {
      method,
      dispatcher: this.#agent,
      signal: signal ?? null,
      headers: {
        'user-agent': this.#options.userAgent,
        ...API_HEADERS,
        ...(!isRaw && { 'content-type': 'application/json' }),
        ...headers,
        ...this.#authorize(),
      },
      body: isRaw ? (body ?? null) : JSON.stringify(body),
    })
  }
}

const infoOf = ({ method = 'GET', url }: ClientRequest) => ({ method, url: url.href })

const isStream = (body: unknown): body is Readable => body instanceof Readable
