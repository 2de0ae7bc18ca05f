import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import type { Logger } from 'pino'
import { accessLog } from './access-log.ts'
import { type CertificateFiles, readCertificate } from './certificate.ts'
import type { ConnectionLimit } from './connection-limit.ts'
import { Connections } from './connections.ts'
import { beginExchange, type Exchange } from './exchange.ts'

/** Answers one request, whatever happens: it never rejects. */
export type Handler = (request: Request, exchange: Exchange) => Promise<Response>

export interface ServerOptions {
  /** Undefined is every interface. */
  address: string | undefined
  port: number
  tls?: CertificateFiles | undefined
  /** Milliseconds. */
  stallTimeout: number
  /** Value of the `Server` header. */
  serverName: string
  /** Shared by all servers of the process. */
  limit: ConnectionLimit
}

export interface HttpServer {
  port: number
  /** Reads the certificate and its key again. Throws if they cannot be used; the old ones then stay. */
  reloadCertificate(): void
  /** Takes no more requests and resolves when those under way are done, or after `timeout` milliseconds. */
  close(timeout: number): Promise<void>
}

/** Proxies and imgadm keep connections between requests; ending one that they are about to use breaks it. */
const KEEP_ALIVE = 75_000
const MAX_HEADER_SIZE = 16 * 1024

/** Listens. Rejects with the system's error if it cannot. */
export async function startServer(handle: Handler, log: Logger, options: ServerOptions): Promise<HttpServer> {
  const { stallTimeout, tls, address, port, limit, serverName } = options
  const logExchange = accessLog(log)
  const listener = getRequestListener(
    (request, env) => {
      const { incoming, outgoing } = env as HttpBindings
      const isWelcome = connections.begin(outgoing)
      const exchange = beginExchange(incoming, outgoing, serverName)
      outgoing.once('close', () => logExchange(exchange))
      if (!isWelcome) return busy()
      return isWithoutHost(incoming) ? badRequest() : handle(request, exchange)
    },
    { hostname: 'localhost', overrideGlobalObjects: true, errorHandler: () => badRequest() },
  )
  const serverOptions = {
    headersTimeout: stallTimeout,
    // Node's own refusal has no body to read.
    requireHostHeader: false,
    keepAliveTimeout: KEEP_ALIVE,
    maxHeaderSize: MAX_HEADER_SIZE,
    // A file may take hours, as long as its bytes flow: bodies have timeouts of their own.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(5000, stallTimeout),
  }
  const server: Server | TlsServer = tls
    ? createTlsServer({ ...serverOptions, ...readCertificate(tls) }, listener)
    : createServer(serverOptions, listener)
  // The client waits for a go-ahead, which it gets when its body is wanted: see openBody.
  server.on('checkContinue', (incoming: IncomingMessage, outgoing: ServerResponse) =>
    listener(incoming, outgoing),
  )
  const connections = new Connections(server, limit)
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const pending = connections.answerOn(socket)
    // What follows a request is broken, not the request: its answer comes first, and is the last one.
    if (pending?.req.complete && socket.writable) pending.shouldKeepAlive = false
    else if (pending && !pending.headersSent && socket.writable && error.code === 'HPE_INVALID_EOF_STATE') {
      answerShortBody(pending.req, socket)
    } else answerBrokenRequest(error, socket)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host: address }, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    reloadCertificate: () => {
      if (tls) (server as TlsServer).setSecureContext(readCertificate(tls))
    },
    close: timeout => closeServer(server, connections, timeout),
  }
}

async function closeServer(server: Server, connections: Connections, timeout: number) {
  const closed = new Promise<void>(resolve => server.close(() => resolve()))
  // Connections that finish their request now would otherwise be kept for the next one.
  const idle = setInterval(() => connections.closeIdle(), 50)
  const limit = setTimeout(() => server.closeAllConnections(), timeout)
  await closed
  clearInterval(idle)
  clearTimeout(limit)
}

const isWithoutHost = ({ httpVersion, headers }: IncomingMessage) =>
  httpVersion === '1.1' && headers.host === undefined

const json = (code: string, message: string) => JSON.stringify({ code, message }, null, 2)

const failure = (status: number, code: string, message: string, headers?: Record<string, string>) =>
  new Response(json(code, message), { status, headers: { 'Content-Type': 'application/json', ...headers } })

const badRequest = () =>
  failure(400, 'BadRequestError', 'the request line or its Host header cannot be understood')

const busy = () =>
  failure(503, 'ServiceUnavailableError', 'the server answers as many requests as it can: try again', {
    'Retry-After': '1',
  })

/** What is not HTTP gets an answer all the same: clients show its message. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket) {
  if (!socket.writable || socket.bytesWritten > 0) {
    socket.destroy()
    return
  }
  const [status, message]: [number, string] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, `the request's headers are larger than ${MAX_HEADER_SIZE} bytes`]
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, "the request's headers did not arrive in time"]
        : [400, 'this is not an HTTP request that can be understood']
  answerAlone(socket, status, json('BadRequestError', message))
}

/** The client has ended its side of the connection in the middle of the body, and still listens. */
function answerShortBody({ method, headers }: IncomingMessage, socket: Socket) {
  const length = headers['content-length']
  const missing = length === undefined ? 'its last chunk' : `the ${length} bytes of its Content-Length`
  const message = `the body ended early, before ${missing} had arrived: send it again, whole`
  answerAlone(socket, 400, json(method === 'PUT' ? 'Upload' : 'BadRequestError', message))
}

/** Writes the last answer of a connection. */
function answerAlone(socket: Socket, status: number, body: string) {
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
