import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { AUTH, type TestServer } from './server.ts'

/** Requests that behave as real ones sometimes do: half sent, half read, never ended. */

export interface Upload {
  request: ClientRequest
  /** Resolves when the server's machine has taken the bytes. */
  send(content: Uint8Array): Promise<void>
  end(): void
  /** As a client that loses power or network. */
  vanish(): void
  /** Status 0 if the connection ended without an answer. */
  answer: Promise<{ status: number; code?: string; message?: string }>
}

/** A PUT whose body is sent piece by piece; `length` undefined is a chunked one. */
export function startUpload(server: TestServer, path: string, length?: number): Upload {
  const put = request({
    port: server.port,
    host: '127.0.0.1',
    method: 'PUT',
    path,
    headers: { ...AUTH, ...(length !== undefined && { 'content-length': length }) },
    agent: new Agent({ keepAlive: false }),
  })
  const answer = new Promise<{ status: number }>(resolve => {
    put.on('error', () => resolve({ status: 0 }))
    put.on('response', response => {
      let text = ''
      response.on('data', chunk => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode!, ...JSON.parse(text) }))
      response.on('error', () => resolve({ status: 0 }))
    })
  })
  put.flushHeaders()
  return {
    request: put,
    send: content => new Promise(resolve => put.write(content, () => resolve())),
    end: () => put.end(),
    vanish: () => put.destroy(),
    answer,
  }
}

/** A GET whose answer is there but not read. */
export function startDownload(server: TestServer, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const get = request({
      port: server.port,
      host: '127.0.0.1',
      path,
      agent: new Agent({ keepAlive: false }),
    })
    get.on('response', resolve).on('error', reject).end()
  })
}

/** A bare connection that says these words. */
export function connectAndSay(server: TestServer, words: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1', () => {
      socket.off('error', reject).on('error', () => {})
      socket.write(words)
      resolve(socket)
    })
    socket.on('error', reject)
  })
}

/** Everything that a connection still says until it ends. */
export function untilClosed(socket: Socket): Promise<string> {
  return new Promise(resolve => {
    let text = ''
    socket.on('data', chunk => {
      text += chunk
    })
    socket.on('close', () => resolve(text))
  })
}
