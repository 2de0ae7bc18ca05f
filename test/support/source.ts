import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { sha1, uuid } from './api.ts'

/** A place to import from that does what a test tells it to, good or bad. */

export interface TestSource {
  url: string
  /** Every request so far: its path and the range it asked for. */
  requests: { path: string; range: string | undefined; authorization: string | undefined }[]
}

export async function startSource(
  listener: RequestListener,
  tls?: { cert: string; key: string },
): Promise<TestSource> {
  const requests: TestSource['requests'] = []
  const record: RequestListener = (request, response) => {
    const { range, authorization } = request.headers
    requests.push({ path: request.url ?? '', range, authorization })
    listener(request, response)
  }
  const server = tls ? createTlsServer(tls, record) : createServer(record)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`, requests }
}

/** An active image as a source's manifest, of that content. */
export const remoteManifest = (content: Uint8Array, changes: Record<string, unknown> = {}) => ({
  v: 2,
  uuid: uuid(),
  owner: '00000000-0000-0000-0000-000000000000',
  name: 'remote',
  version: '1.0.0',
  state: 'active',
  disabled: false,
  public: true,
  published_at: '2020-02-02T02:02:02.222Z',
  type: 'zone-dataset',
  os: 'smartos',
  files: [{ sha1: sha1(content), size: content.length, compression: 'none' }],
  ...changes,
})

type SendFile = (request: IncomingMessage, response: ServerResponse) => void

/** Answers for some images; how a file goes out is the test's. */
export const imgapi =
  (manifests: Record<string, unknown>[], sendFile: SendFile): RequestListener =>
  (request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    const manifest = manifests.find(({ uuid }) => path.startsWith(`/images/${uuid}`))
    if (!manifest) sendJson(response, 404, { code: 'ResourceNotFound', message: 'no such image' })
    else if (path.endsWith('/file')) sendFile(request, response)
    else sendJson(response, 200, manifest)
  }

export function sendJson(response: ServerResponse, status: number, body: unknown) {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

/** The bytes, from where the client wants them. */
export function sendContent(content: Uint8Array, request: IncomingMessage, response: ServerResponse) {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  const rest = content.subarray(from)
  response.writeHead(from > 0 ? 206 : 200, { 'content-length': rest.length })
  response.end(rest)
}

/** As many bytes of what the client wants, and then the connection is gone. */
export function sendPart(
  content: Uint8Array,
  size: number,
  request: IncomingMessage,
  response: ServerResponse,
) {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  const rest = content.subarray(from)
  response.writeHead(from > 0 ? 206 : 200, { 'content-length': rest.length })
  response.write(rest.subarray(0, size), () => response.destroy())
}
