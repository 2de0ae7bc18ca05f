import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { importDockerImage } from '../../docker/import-docker.ts'
import { type FieldError, ImgapiError } from '../../images/errors.ts'
import { isObject } from '../../images/rules.ts'
import { requireOperator, type Viewer } from '../../images/visibility.ts'
import {
  canonicalName,
  DIGEST,
  type ImageName,
  isTag,
  parseImageName,
  registryUrl,
} from '../../registry/image-name.ts'
import { RegistryClient } from '../../registry/registry-client.ts'
import { SourceError } from '../../sources/http-client.ts'
import type { ApiRequest } from '../api-request.ts'
import { commonHeaders } from '../respond.ts'

/** `POST /images?action=import-docker-image` (reference contract, section 11). */

const invalid = (message: string, ...errors: FieldError[]) =>
  new ImgapiError('ValidationFailed', message, { errors })

/** What goes wrong before anything is streamed is an answer like others; afterwards it is the last message. */
export async function importDocker(request: ApiRequest, viewer: Viewer): Promise<Response> {
  const { images, client, retry } = request.service
  requireOperator(viewer)
  const { name, reference } = readReference(request)
  const isPublic = request.query.flag('public') ?? true
  const credentials = readCredentials(request, name)
  const url = registryUrl(name.registry, client.schemeOf(name.registry))
  const registry = new RegistryClient({ client, url, credentials, retry })
  const stream = new MessageStream(request, canonicalName(name))
  const { channel } = viewer
  const requestId = request.exchange.id
  const { signal } = stream
  const tell = (message: Record<string, unknown>) => stream.write(message)
  const work = { images, registry, name, reference, isPublic, channel, requestId, signal, tell }
  await importDockerImage(work).catch(error => {
    if (!signal.aborted) stream.fail(asImgapiError(error, request))
  })
  return stream.end()
}

function readReference({ query }: ApiRequest): { name: ImageName; reference: string } {
  const [repo, tag, digest] = ['repo', 'tag', 'digest'].map(name => query.get(name))
  const missing: FieldError[] = []
  if (repo === undefined) missing.push({ field: 'repo', code: 'MissingParameter' })
  if (tag === undefined && digest === undefined) {
    const message = 'one of "tag" or "digest" is required'
    missing.push({ field: 'tag', code: 'MissingParameter', message })
  }
  if (repo === undefined || missing.length > 0) throw invalid('missing parameters', ...missing)
  if (tag !== undefined && digest !== undefined) {
    const message = 'cannot specify both "tag" and "digest"'
    throw invalid(message, { field: 'digest', code: 'Invalid', message })
  }
  if (tag !== undefined && !isTag(tag))
    throw invalid(`"${tag}" is not a tag`, { field: 'tag', code: 'Invalid' })
  if (digest !== undefined && !DIGEST.test(digest)) {
    throw invalid(`"${digest}" is not a sha256 digest`, { field: 'digest', code: 'Invalid' })
  }
  try {
    return { name: parseImageName(repo), reference: (tag ?? digest)! }
  } catch (error) {
    const { message } = error as Error
    throw invalid(message, { field: 'repo', code: 'Invalid', message })
  }
}

/** Of `x-registry-auth`, which is for this registry, or `x-registry-config`, which is for several by name. */
function readCredentials(request: ApiRequest, { registry }: ImageName) {
  const single = readHeader(request, 'x-registry-auth')
  const several = readHeader(request, 'x-registry-config')
  const names = registry === 'docker.io' ? [registry, 'https://index.docker.io/v1/'] : [registry]
  const given = single ?? names.map(name => several?.[name]).find(isObject)
  if (!given) return undefined
  if (given.identitytoken) {
    throw new ImgapiError('NotImplemented', 'identity tokens are not supported: send username and password')
  }
  const { username, password } = given
  if (typeof username !== 'string' || username === '' || typeof password !== 'string') return undefined
  return { user: username, password }
}

function readHeader(request: ApiRequest, name: string): Record<string, unknown> | undefined {
  const text = request.header(name)
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64').toString())
    if (isObject(value)) return value
  } catch {
    // Said below.
  }
  throw new ImgapiError('BadRequestError', `the header ${name} is not base64 of a JSON object`)
}

function asImgapiError(error: unknown, { exchange }: ApiRequest): ImgapiError {
  if (error instanceof ImgapiError) return error
  if (error instanceof SourceError) {
    const code = error.status === 404 ? 'ResourceNotFound' : 'RemoteSourceError'
    return new ImgapiError(code, error.message, { cause: error })
  }
  exchange.error = error
  return new ImgapiError('RemoteSourceError', (error as Error).message, { cause: error })
}

/** JSON objects, one a line, as things happen. Whoever listens ends the work by leaving. */
class MessageStream {
  readonly #request: ApiRequest
  readonly #id: string
  readonly #left = new AbortController()

  constructor(request: ApiRequest, id: string) {
    this.#request = request
    this.#id = id
    const { outgoing } = request.exchange
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) this.#left.abort(new Error('the client went away'))
    })
  }

  get signal(): AbortSignal {
    return this.#left.signal
  }

  write(message: Record<string, unknown>) {
    this.#start({ 'Content-Type': 'application/json' })
    this.#send(message)
  }

  /** Without a type if it is the first message: the reference's clients tell by it whether it began. */
  fail({ code, message }: ImgapiError) {
    this.#start({})
    this.#send({ type: 'error', error: { code, message } })
  }

  end(): Response {
    this.#request.exchange.outgoing.end()
    return RESPONSE_ALREADY_SENT
  }

  #start(headers: Record<string, string>) {
    const { exchange, service } = this.#request
    if (exchange.outgoing.headersSent) return
    exchange.outgoing.writeHead(200, { ...commonHeaders(exchange, service.serverName), ...headers })
  }

  #send(message: Record<string, unknown>) {
    const { exchange } = this.#request
    const line = `${JSON.stringify({ ...message, id: this.#id })}\r\n`
    exchange.bytes += Buffer.byteLength(line)
    exchange.outgoing.write(line)
  }
}
