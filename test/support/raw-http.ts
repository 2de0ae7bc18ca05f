import { connect } from 'node:net'
import { PATIENCE } from './patience.ts'
import { AUTH } from './server.ts'

export interface RawAnswer {
  status: number
  head: string
  body: string
}

/**
 * Sends bytes as they are, for requests that no client would make, and resolves with the answer when the
 * server ends the connection or has sent all it promised.
 */
export function sendRaw(port: number, bytes: string | Buffer, timeout = PATIENCE): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(bytes))
    let received = Buffer.alloc(0)
    const finish = () => {
      clearTimeout(timer)
      socket.destroy()
      resolve(parse(received))
    }
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no answer: ${received.toString()}`))
    }, timeout)
    socket.on('data', chunk => {
      received = Buffer.concat([received, chunk])
      if (isComplete(received)) finish()
    })
    socket.on('error', () => finish())
    socket.on('close', () => finish())
  })
}

/** A request line and headers around a body, with the credentials and a Content-Length unless told. */
export function rawRequest(line: string, headers: Record<string, string> = {}, body: string | Buffer = '') {
  const all = {
    Host: 'x',
    Connection: 'close',
    Authorization: AUTH.authorization,
    ...(body.length > 0 && { 'Content-Length': String(Buffer.byteLength(body)) }),
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([
    Buffer.from(`${line} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'),
    Buffer.from(body),
  ])
}

function split(received: Buffer) {
  const text = received.toString()
  const end = text.indexOf('\r\n\r\n')
  return end === -1 ? undefined : { head: text.slice(0, end), body: text.slice(end + 4) }
}

function isComplete(received: Buffer) {
  const answer = split(received)
  const length = answer && /^content-length: (\d+)/im.exec(answer.head)?.[1]
  return length !== undefined && Buffer.byteLength(answer!.body) >= Number(length)
}

function parse(received: Buffer): RawAnswer {
  const { head, body } = split(received) ?? { head: '', body: '' }
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0), head, body }
}
