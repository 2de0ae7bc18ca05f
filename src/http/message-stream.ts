import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { ImgapiError, notFound, remoteSourceError } from '../images/errors.ts'
import { SourceError } from '../sources/http-client.ts'
import type { ApiRequest } from './api-request.ts'
import { commonHeaders } from './respond.ts'

type Message = Record<string, unknown>

/**
 * Streams the progress of `work` as JSON objects, one a line. An error is sent as the last object. `common`: keys of
 * every object. `work` gets a function that sends an object, and a signal that aborts when the client disconnects.
 */
export async function streamMessages(
  request: ApiRequest,
  common: Message,
  work: (send: (message: Message) => void, signal: AbortSignal) => Promise<void>,
): Promise<Response> {
  const { exchange } = request
  const { outgoing } = exchange
  const disconnected = new AbortController()
  outgoing.once('close', () => {
    if (!outgoing.writableFinished) disconnected.abort(new Error('the client went away'))
  })
  const send = (message: Message) => {
    const line = `${JSON.stringify({ ...message, ...common })}\r\n`
    exchange.bytes += Buffer.byteLength(line)
    outgoing.write(line)
  }
  outgoing.writeHead(200, {
    ...commonHeaders(exchange),
    'Content-Type': 'application/json',
  })
  try {
    await work(send, disconnected.signal)
  } catch (error) {
    if (!disconnected.signal.aborted) {
      const { code, message, errors } = asImgapiError(error, request)
      send({ type: 'error', error: { code, message, ...(errors && { errors }) } })
    }
  }
  outgoing.end()
  return RESPONSE_ALREADY_SENT
}

/** Returns ResourceNotFound for what the source does not have, and RemoteSourceError for its other errors. */
export const sourceError = (error: SourceError): ImgapiError =>
  (error.status === 404 ? notFound : remoteSourceError)(error.message, error)

/** Returns the error to send. An unexpected one is also logged with the exchange. */
function asImgapiError(error: unknown, { exchange }: ApiRequest): ImgapiError {
  if (error instanceof ImgapiError) return error
  if (error instanceof SourceError) return sourceError(error)
  exchange.error = error
  return remoteSourceError((error as Error).message, error)
}
