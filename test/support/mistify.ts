import { type Answer, type CallOptions, call } from './api.ts'
import { startImporter } from './imports.ts'
import type { ServerOptions, TestServer } from './server.ts'
import { until } from './until.ts'

/** A server with the API of mistify-image-service at a port of its own. */

export interface MistifyServer extends TestServer {
  /** Where that API is. */
  mistify: { url: string }
}

export async function startMistify({ config, ...options }: ServerOptions = {}): Promise<MistifyServer> {
  const { gateways, ...rest } = config ?? {}
  const mistify = (gateways as { mistify?: object } | undefined)?.mistify
  const server = await startImporter({
    ...options,
    config: { ...rest, gateways: { mistify: { port: 0, ...mistify } } },
  })
  return { ...server, mistify: { url: `http://127.0.0.1:${await portOf(server)}` } }
}

/** The port that the log names. */
export async function portOf(server: TestServer): Promise<number> {
  const find = () => server.log().find(({ gateway, port }) => gateway === 'mistify' && port !== undefined)
  await until('the gateway listens', () => find() !== undefined)
  return find()!.port as number
}

export interface MistifyImage {
  id: string
  source: string
  type: string
  comment: string
  status: string
  size: number
  expected_size: number
  download_start: string
  download_end: string
  error?: string
}

export const ask = (server: MistifyServer, method: string, path: string, options?: CallOptions) =>
  call(server.mistify, method, path, options)

export const fetchFrom = (server: MistifyServer, source: string, rest: object = {}): Promise<Answer> =>
  ask(server, 'POST', '/images', { body: { source, type: 'kvm', ...rest } })

/** The image once it has that status. */
export async function hasStatus(server: MistifyServer, id: string, status: string): Promise<MistifyImage> {
  let body: MistifyImage | undefined
  const look = async () => {
    body = (await ask(server, 'GET', `/images/${id}`)).body
    return body?.status === status
  }
  await until(`${id} is ${status}`, look)
  return body!
}

export const upload = (server: MistifyServer, content: Uint8Array, headers: Record<string, string> = {}) =>
  ask(server, 'PUT', '/images', { body: content, headers: { 'x-image-type': 'kvm', ...headers } })
