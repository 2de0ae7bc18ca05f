import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { ImgapiError } from '../images/errors.ts'
import { SourceError } from '../sources/http-client.ts'
import type { ApiRequest } from './api-request.ts'
import { commonHeaders } from './respond.ts'

type Message = Record<string, unknown>

/**
 * Answers with JSON objects, one a line, as things happen; what goes wrong is the last of them. `marks`: keys that
 * every line has. `work` gets a signal that is aborted when the client leaves.
 */
export async function streamMessages(
  request: ApiRequest,
  marks: Message,
  work: (tell: (message: Message) => void, signal: AbortSignal) => Promise<void>,
): Promise<Response> {
  const { exchange } = request
  const { outgoing } = exchange
  const left = new AbortController()
  outgoing.once('close', () => {
    if (!outgoing.writableFinished) left.abort(new Error('the client went away'))
  })
  const tell = (message: Message) => {
    const line = `${JSON.stringify({ ...message, ...marks })}\r\n`
    exchange.bytes += Buffer.byteLength(line)
    outgoing.write(line)
  }
  outgoing.writeHead(200, {
    ...commonHeaders(exchange),
    'Content-Type': 'application/json',
  })
  try {
    await work(tell, left.signal)
  } catch (error) {
    if (!left.signal.aborted) {
      const { code, message, errors } = asImgapiError(error, request)
      tell({ type: 'error', error: { code, message, ...(errors && { errors }) } })
    }
  }
  outgoing.end()
  return RESPONSE_ALREADY_SENT
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
