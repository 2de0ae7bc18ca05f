import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { addFile, bytes, call, create, sha1 } from '../support/api.ts'
import { selfSigned } from '../support/certificate.ts'
import { isLinux, openFiles } from '../support/process.ts'
import { needs } from '../support/programs.ts'
import { AUTH, PROGRAM, startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

/** However many connections strangers hold, the files that storage needs can be opened. */

/** Files that the server may open, and what it makes of that. */
const MOST = 100
const CONNECTIONS = 12
const REQUESTS = 6

const command = ['sh', '-c', `ulimit -n ${MOST}; exec "$0" "$@"`, process.execPath, PROGRAM]
const startLimited = (config: Record<string, unknown> = {}) => startServer({ command, config })

function open(port: number, sent = ''): Socket {
  const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(sent))
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return socket
}

/** Connections on which no complete request is sent; each is opened again when it is closed. */
function besiege(ports: number[], count: number) {
  let isOver = false
  let opened = 0
  onTestFinished(() => {
    isOver = true
  })
  const again = (index: number) => {
    if (isOver) return
    opened++
    // Nothing, or half a header.
    const socket = open(
      ports[index % ports.length]!,
      index % 4 < 2 ? '' : 'GET /ping HTTP/1.1\r\nHost: x\r\n',
    )
    socket.on('close', () => setTimeout(again, 200, index))
  }
  for (let index = 0; index < count; index++) again(index)
  return () => opened
}

/** Asks again when the connection was closed for another one before the request was read. */
async function persist<T extends { status: number }>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const answer = await work().catch(() => undefined)
    if (answer && answer.status !== 503) return answer
    await pause(20)
  }
  throw new Error('no answer')
}

const expectNoShortage = (server: TestServer) => {
  const errors = server.log().filter(entry => entry.level >= 50 || JSON.stringify(entry).includes('EMFILE'))
  expect(errors).toEqual([])
}

const warnings = (server: TestServer, text: string) => server.log().filter(({ msg }) => msg.includes(text))

const warned = (server: TestServer, text: string) =>
  until(`one warning that ${text}`, () => warnings(server, text).length === 1)

test('what strangers hold open takes nothing from the files of the owner', async () => {
  const server = await startLimited({ gateways: { mistify: { port: 0 } } })
  const gateway = server.log().find(({ gateway, port }) => gateway === 'mistify' && port !== undefined)
  const { uuid } = await create(server)
  await addFile(server, uuid, bytes(1000))
  const opened = besiege([server.port, Number(gateway!.port)], 120)
  await until('more connections than it may open files', () => opened() > 2 * MOST)
  let last = ''
  let most = 0
  for (let round = 0; round < 12; round++) {
    const content = bytes(100_000)
    const body = { body: content }
    const path = `/images/${uuid}/file?compression=none`
    expect(await persist(() => call(server, 'PUT', path, body))).toMatchObject({ status: 200 })
    last = sha1(content)
    if (isLinux) most = Math.max(most, openFiles(server.pid))
    const icon = { body: bytes(1000), headers: { 'content-type': 'image/png' } }
    expect(await persist(() => call(server, 'PUT', `/images/${uuid}/icon`, icon))).toMatchObject({
      status: 200,
    })
  }
  expect(most).toBeLessThan(MOST - 10)
  expectNoShortage(server)
  await warned(server, `${CONNECTIONS} connections are open`)
  await server.kill()
  const again = await startServer({ folder: server.folder })
  const file = await fetch(`${again.url}/images/${uuid}/file`, { headers: AUTH })
  expect(sha1(new Uint8Array(await file.arrayBuffer()))).toBe(last)
})

test('as many uploads as are let in at once can all be stored; the others are told to come again', async () => {
  const server = await startLimited()
  const statuses: number[] = []
  const upload = async () => {
    const { uuid, status } = await persist(async () => {
      const answer = await call(server, 'POST', '/images', {
        body: { name: 'x', version: '1', type: 'other', os: 'other' },
      })
      statuses.push(answer.status)
      return { status: answer.status, uuid: answer.body?.uuid as string }
    })
    expect(status).toBe(200)
    const path = `/images/${uuid}/file?compression=none`
    for (let round = 0; round < 3; round++) {
      const content = bytes(300_000)
      const stored = await persist(() => call(server, 'PUT', path, { body: content }))
      expect(stored).toMatchObject({ status: 200, body: { files: [{ sha1: sha1(content) }] } })
    }
  }
  await Promise.all(Array.from({ length: 20 }, upload))
  expectNoShortage(server)
  await warned(server, 'may open only 100 files')
})

test('beyond the most requests at once the answer is 503, and says when to come again', async () => {
  const server = await startLimited()
  const { uuid } = await create(server)
  const head = `PUT /images/${uuid}/icon HTTP/1.1\r\nHost: x\r\nAuthorization: ${AUTH.authorization}\r\nContent-Length: 10\r\n`
  // Requests that are being answered: their bodies do not come.
  const held = Array.from({ length: REQUESTS }, () =>
    open(server.port, `${head}Content-Type: image/png\r\n\r\n`),
  )
  await until('all of them to be refused', async () => (await fetch(`${server.url}/ping`)).status === 503)
  const answer = await call(server, 'GET', '/ping')
  expect(answer).toMatchObject({ status: 503, body: { code: 'ServiceUnavailableError' } })
  expect(answer.headers.get('retry-after')).toBe('1')
  expect((await call(server, 'PUT', `/images/${uuid}/file`, { body: bytes(5_000_000) })).status).toBe(503)
  await warned(server, `${REQUESTS} requests are being answered`)
  for (const socket of held) socket.destroy()
  await until('an answer', async () => (await fetch(`${server.url}/ping`)).status === 200)
})

test('the oldest connection without a complete request makes room, then the one idle for longest', async () => {
  const server = await startLimited()
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  /** The client's port, which tells connections apart. */
  const ping = () =>
    new Promise<number>((resolve, reject) => {
      const request = httpRequest(`${server.url}/ping`, { agent }, (response: IncomingMessage) => {
        const { localPort } = response.socket
        response.resume().on('end', () => resolve(localPort!))
      })
      request.on('error', reject).end()
    })
  const first = await ping()
  const silent: Socket[] = []
  const closed: number[] = []
  const add = async () => {
    const index = silent.length
    const socket = open(server.port)
    socket.on('close', () => closed.push(index))
    silent.push(socket)
    await new Promise(resolve => socket.once('connect', resolve))
  }
  while (silent.length < CONNECTIONS - 1) await add()
  expect(await ping()).toBe(first)
  expect(closed).toEqual([])
  await add()
  await add()
  await until('the oldest two to be closed', () => closed.length === 2)
  expect(closed.toSorted()).toEqual([0, 1])
  expect(await ping()).toBe(first)
})

needs('openssl', 'openssl')(
  'HTTPS connections are counted until they end, and those without a handshake make room',
  async () => {
    const server = await startLimited({ tls: selfSigned() })
    const ping = () =>
      new Promise<{ status: number }>((resolve, reject) => {
        const options = {
          port: server.port,
          host: '127.0.0.1',
          path: '/ping',
          rejectUnauthorized: false,
          agent: false,
        }
        const request = httpsRequest(options as object, response => {
          response.resume().on('end', () => resolve({ status: response.statusCode! }))
        })
        request.on('error', reject).end()
      })
    // One after the other never is more than one.
    for (let round = 0; round < 3 * CONNECTIONS; round++) expect((await ping()).status).toBe(200)
    expect(warnings(server, 'connections are open')).toEqual([])
    besiege([server.port], 3 * CONNECTIONS)
    for (let round = 0; round < 5; round++) expect((await persist(ping)).status).toBe(200)
    await warned(server, 'connections are open')
    expectNoShortage(server)
    expect(await server.stop()).toBe(0)
  },
)
