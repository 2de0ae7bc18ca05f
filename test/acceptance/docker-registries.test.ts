import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { call } from '../support/api.ts'
import { selfSigned } from '../support/certificate.ts'
import { json } from '../support/http.ts'
import { digestOf, layerOf } from '../support/layers.ts'
import { beginImport, importStreamed, type Message, messagesIn, statusOf } from '../support/messages.ts'
import { needsOldClients } from '../support/old-clients.ts'
import { needsAll } from '../support/programs.ts'
import { push, startRegistry } from '../support/registry.ts'
import { ScriptedRegistry } from '../support/scripted-registry.ts'
import { sdcClient } from '../support/sdc-client.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

/** How docker imports find their registry, and what the client hears while they do. */

/** With the retries that imports have if the config does not say: more than three minutes of them. */
const CONFIG = { allowPrivateSources: true }

const importDocker = (server: TestServer, repo: string) =>
  importStreamed(server, `action=import-docker-image&repo=${encodeURIComponent(repo)}&tag=v1`)

const unreachable = (messages: Message[]) =>
  expect(messages).toMatchObject([
    { type: 'status', payload: { status: expect.stringMatching(/^v1: Pulling from .*\/app \(req /) } },
    { type: 'error', error: { code: 'RemoteSourceError', message: expect.stringContaining('127.0.0.1') } },
  ])

test('the status line and the first message come before the registry has answered', async () => {
  let answer = () => {}
  const source = await startSource((_, response) => {
    answer = () => response.writeHead(404).end('{}')
  })
  const server = await startServer({ config: CONFIG })
  const host = new URL(source.url).host
  const { response, messages } = beginImport(server, `action=import-docker-image&repo=${host}/app&tag=v1`)
  expect((await response).statusCode).toBe(200)
  await until('the first message is here', () => messages().length === 1)
  expect(statusOf(messages()[0]!)).toMatch(new RegExp(`^status v1: Pulling from ${host}/app`))
  await until('the registry is asked', () => source.requests.length === 1)
  answer()
  await until('the error is here', () => messages().length === 2)
  expect(messages()[1]).toMatchObject({ type: 'error', error: { code: 'ResourceNotFound' } })
})

test('a registry where nothing listens is given up after a few quick tries', async () => {
  const closed = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => closed.once('listening', resolve))
  const { port } = closed.address() as AddressInfo
  await new Promise(resolve => closed.close(resolve))
  const server = await startServer({ config: CONFIG })
  const { messages } = await importDocker(server, `127.0.0.1:${port}/app`)
  unreachable(messages)
})

test('a registry that takes no connection is given up as soon', async () => {
  const server = await startServer({ config: CONFIG })
  const { messages } = await importDocker(server, `127.0.0.1:${await startDeafHost()}/app`)
  unreachable(messages)
})

/** A port whose queue is full: what asks to connect there is not answered at all. */
async function startDeafHost(): Promise<number> {
  const program = `const server = require('net').createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 },
    () => console.log(server.address().port))`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const port = Number(await new Promise(resolve => child.stdout.once('data', resolve)))
  child.kill('SIGSTOP')
  let connected = 0
  const sockets = Array.from({ length: 8 }, () => connect(port, '127.0.0.1', () => connected++))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (const socket of sockets) socket.on('error', () => {})
  let before = -1
  while (before !== connected) {
    before = connected
    await pause(500)
  }
  expect(connected).toBeLessThan(sockets.length)
  return port
}

test('a layer that breaks off is asked for again, and the client hears of it', async () => {
  const registry = await new ScriptedRegistry().start()
  const layer = layerOf({ name: 'app', content: 'hello' })
  await registry.put('app:v1', { layers: [layer] })
  let failures = 0
  registry.intercept = (path, response) => {
    if (!path.endsWith(digestOf(layer)) || failures === 2) return false
    failures++
    response.destroy()
    return true
  }
  const imports = { firstDelay: 10, longestDelay: 10 }
  const server = await startServer({ config: { ...CONFIG, imports } })
  const { messages } = await importDocker(server, `${new URL(registry.url).host}/app`)
  const short = digestOf(layer).slice(7, 19)
  const retries = messages.map(statusOf).filter(text => text.startsWith(`progress ${short} Retrying: `))
  expect(retries).toHaveLength(2)
  expect(messages.at(-1)!.payload.status).toMatch(/^Status: Downloaded newer image/)
})

const LAYERS = [layerOf({ name: 'app', content: 'hello' })]

needsOldClients(
  'the client library of the datacenters reads the messages, of an image and of an error',
  async () => {
    const registry = await new ScriptedRegistry().start()
    await registry.put('app:v1', { layers: LAYERS })
    const server = await startServer({ config: CONFIG })
    const client = sdcClient(server)
    const repo = `${new URL(registry.url).host}/app`
    const messagesOf = async (tag: string) => {
      const response = await client.adminImportDockerImage({ repo, tag, public: false })
      return messagesIn(await text(response))
    }
    const messages = await messagesOf('v1')
    const { image_uuid } = messages.find(({ type }) => type === 'create-docker-image')!
    expect(await client.getImage(image_uuid)).toMatchObject({ state: 'active', public: false })
    expect((await messagesOf('v2')).at(-1)!.error.code).toBe('ResourceNotFound')
  },
)

needsAll({ 'docker-registry': 'docker-registry' })(
  'a scheme before the name of the registry says how to connect, and is no part of the name',
  async () => {
    const registry = await startRegistry()
    const pushed = await push(registry, 'some/app', 'v1', LAYERS)
    const server = await startServer({ config: CONFIG })
    // An address that is asked with TLS unless the name says otherwise.
    const host = registry.host.replace('127.0.0.1', '0.0.0.0')
    const { messages } = await importDocker(server, `http://${host}/some/app`)
    for (const message of messages) expect(message.id).toBe(`${host}/some/app`)
    expect(messages.at(-1)!.payload.status).toBe(`Status: Downloaded newer image for ${host}/some/app:v1`)
    const { body } = await call(server, 'GET', `/images?tag.docker:id=${pushed.layers[0]}`)
    expect(body).toMatchObject([{ tags: { 'docker:repo': `${host}/some/app` } }])
  },
)

needsAll({ openssl: 'openssl' })(
  'https before the name is HTTPS, where the server would not use it by itself',
  async () => {
    const { cert, key } = selfSigned()
    const registry = await new ScriptedRegistry().start({
      cert: readFileSync(cert, 'utf8'),
      key: readFileSync(key, 'utf8'),
    })
    await registry.put('app:v1', { layers: LAYERS })
    const server = await startServer({ config: CONFIG, env: { NODE_EXTRA_CA_CERTS: cert } })
    const { messages } = await importDocker(server, `${registry.url}/app`)
    expect(messages.at(-1)!.payload.status).toMatch(/^Status: Downloaded newer image/)
  },
)

test('names that are none are refused before anything is streamed', async () => {
  const server = await startServer({ config: CONFIG })
  const cases: [repo: string, message: RegExp][] = [
    ['ftp://registry.example.com/app', /not a valid repository name/],
    ['https://registry.example.com', /not a valid repository name/],
    ['http://registry/app', /not a valid repository name/],
    ['http://alice:secret@registry.example.com/app', /not a valid repository name/],
    ['http://docker.io/busybox', /Docker Hub is not asked without TLS/],
  ]
  for (const [repo, message] of cases) {
    const { reply } = await importDocker(server, repo)
    const body = json(reply)
    expect([repo, reply.status, body.code, body.errors[0].field]).toEqual([
      ...[repo, 422, 'ValidationFailed', 'repo'],
    ])
    expect(body.message).toMatch(message)
  }
})
