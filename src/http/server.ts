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

/** Answers one request; never rejects. */
export type Handler = (request: Request, exchange: Exchange) => Promise<Response>

export interface ServerOptions {
  /** Address to listen on; undefined is every interface. */
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
  /** Reloads the certificate and its key. Throws if they are invalid, and continues with the old ones. */
  reloadCertificate(): void
  /** Refuses new connections, and closes the others when their requests are done or after `timeout` milliseconds. */
  close(timeout: number): Promise<void>
}

/** Idle time of a connection in milliseconds: longer than that of proxies and imgadm, which reuse connections. */
const KEEP_ALIVE = 75_000
const MAX_HEADER_SIZE = 16 * 1024

/** Opens a port and answers its requests. Throws the system's error if the port cannot be opened. */
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
    // Node's own answer to a missing Host header has no body.
    requireHostHeader: false,
    keepAliveTimeout: KEEP_ALIVE,
    maxHeaderSize: MAX_HEADER_SIZE,
    // An upload may take hours while bytes arrive; bodies have stall timeouts of their own.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(5000, stallTimeout),
  }
  const server: Server | TlsServer = tls
    ? createTlsServer({ ...serverOptions, ...readCertificate(tls) }, listener)
    : createServer(serverOptions, listener)
  // `100 Continue` is sent when the body is read: see openBody.
  server.on('checkContinue', (incoming: IncomingMessage, outgoing: ServerResponse) =>
    listener(incoming, outgoing),
  )
  const connections = new Connections(server, limit)
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const pending = connections.answerOn(socket)
    // The request is complete and the bytes after it are invalid: its answer is sent, then the connection is closed.
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
  // Connections that finish their request from now on would otherwise stay open for the next one.
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

/** Answers a request that cannot be parsed, because clients show the message. */
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

/** Answers a request whose body ended early while the client still reads. */
function answerShortBody({ method, headers }: IncomingMessage, socket: Socket) {
  const length = headers['content-length']
  const missing = length === undefined ? 'its last chunk' : `the ${length} bytes of its Content-Length`
  const message = `the body ended early, before ${missing} had arrived: send it again, whole`
  answerAlone(socket, 400, json(method === 'PUT' ? 'Upload' : 'BadRequestError', message))
}

/** Writes an answer without an exchange and closes the connection. */
function answerAlone(socket: Socket, status: number, body: string) {
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
