import { spawn } from 'node:child_process'
import { hostname } from 'node:os'
import { expect, test } from 'vitest'
import { bytes, call, create, publish, uuid } from '../support/api.ts'
import { needs } from '../support/programs.ts'
import { eventually } from '../support/run.ts'
import { type LogEntry, PASSWORD, PROGRAM, startServer, type TestServer } from '../support/server.ts'

/** The line of the request with that id. */
const lineOf = (server: TestServer, id: string) =>
  eventually(`a log line of request ${id}`, () => server.log().find(entry => entry.req_id === id))

/** Makes a request and answers with its line. */
async function logged(server: TestServer, method: string, path: string, options = {}): Promise<LogEntry> {
  const id = uuid()
  await call(server, method, path, { ...options, headers: { 'x-request-id': id } })
  return lineOf(server, id)
}

test('every line is a bunyan record', async () => {
  const server = await startServer()
  await publish(server)
  await call(server, 'GET', '/nothing-here')
  await call(server, 'GET', '/images', { headers: { authorization: 'Basic wrong' } })
  await server.stop()
  const entries = server.log()
  expect(entries.length).toBeGreaterThan(8)
  for (const entry of entries) {
    expect(entry).toMatchObject({ name: 'imgapi', hostname: hostname(), pid: server.pid, v: 0 })
    expect([10, 20, 30, 40, 50, 60]).toContain(entry.level)
    expect(entry.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    expect(entry.msg).toEqual(expect.any(String))
  }
  expect(server.stderr()).toBe('')
})

test('a request is one line: id, operation, method, URL, address, status, latency, bytes and user', async () => {
  const server = await startServer()
  const image = await publish(server, bytes(12_345))
  const line = await logged(server, 'GET', `/images/${image.uuid}/file`)
  expect(line).toMatchObject({
    level: 30,
    route: 'GetImageFile',
    req: { method: 'GET', url: `/images/${image.uuid}/file`, remoteAddress: '127.0.0.1' },
    res: { statusCode: 200 },
    bytes: 12_345,
    user: 'admin',
    msg: 'GET GetImageFile 200',
  })
  expect(line.latency).toBeGreaterThan(0)
  expect(server.log().filter(entry => entry.req_id === line.req_id)).toHaveLength(1)
})

test('each operation is logged by its name in the Image API', async () => {
  const server = await startServer()
  const { uuid: id } = await create(server)
  const file = { body: bytes(100) }
  const steps: [string, string, string, object?][] = [
    ['Ping', 'GET', '/ping'],
    ['ListImages', 'GET', '/images'],
    ['GetImage', 'GET', `/images/${id}`],
    ['AddImageFile', 'PUT', `/images/${id}/file?compression=none`, file],
    ['AdminImportImage', 'POST', `/images/${uuid()}?action=import`, { body: {} }],
    ['ActivateImage', 'POST', `/images/${id}?action=activate`],
    ['UpdateImage', 'POST', `/images/${id}?action=update`, { body: { description: 'x' } }],
    ['DisableImage', 'POST', `/images/${id}?action=disable`],
    ['EnableImage', 'POST', `/images/${id}?action=enable`],
    ['GetImageIcon', 'GET', `/images/${id}/icon`],
    ['DeleteImage', 'DELETE', `/images/${id}`],
    ['CreateImage', 'POST', '/images', { body: {} }],
  ]
  const names = []
  for (const [, method, path, options] of steps) {
    names.push((await logged(server, method, path, options)).route)
  }
  expect(names).toEqual(steps.map(([name]) => name))
})

test('a request id of the client is used, and one is made for who sends none', async () => {
  const server = await startServer()
  await call(server, 'GET', '/ping')
  const { req_id } = await eventually('a line', () => server.log().find(entry => entry.route === 'Ping'))
  expect(req_id).toMatch(/^[0-9a-f-]{36}$/)
})

test('a client that goes away before the end is logged as broken off', async () => {
  const server = await startServer()
  const image = await publish(server, bytes(30_000_000))
  const id = uuid()
  const leave = new AbortController()
  const answer = await fetch(`${server.url}/images/${image.uuid}/file`, {
    headers: { 'x-request-id': id },
    signal: leave.signal,
  })
  await answer.body!.getReader().read()
  leave.abort()
  expect(await lineOf(server, id)).toMatchObject({
    incomplete: true,
    msg: expect.stringContaining('broken off'),
  })
})

test('no password and no Authorization header is ever logged', async () => {
  const wrong = 'guess-8f3a'
  const server = await startServer({ config: { logLevel: 'trace' } })
  await publish(server)
  const headers = { authorization: `Basic ${Buffer.from(`admin:${wrong}`).toString('base64')}` }
  await call(server, 'GET', '/images', { headers })
  await call(server, 'GET', '/images', { headers: { authorization: `Basic ${wrong}` } })
  await call(server, 'GET', '/images', { headers: { authorization: `Bearer ${wrong}` } })
  await server.stop()
  const log = JSON.stringify(server.log())
  expect(log).toContain('failed login from 127.0.0.1')
  for (const secret of [PASSWORD, wrong, headers.authorization.slice(6)]) expect(log).not.toContain(secret)
  expect(log.toLowerCase()).not.toContain('authorization')
})

/** Letters on both sides of it, since times, ports and ids of processes may have its digits. */
const SECRET = /Xq47|11zR/

test.each([
  ['http://eve:sXq4711zR@127.0.0.1:1/', 'http://***@127.0.0.1:1/'],
  ['http://eve:sXq47%4011zR@127.0.0.1:1/', 'http://***@127.0.0.1:1/'],
  [encodeURIComponent('https://eve:sXq4711zR@127.0.0.1:1/a'), 'https%3A%2F%2F***%40127.0.0.1%3A1%2Fa'],
  ['http://eve:s@Xq4711zR@127.0.0.1:1/', 'http://***@127.0.0.1:1/'],
  ['http://127.0.0.1:1/a@b', 'http://127.0.0.1:1/a@b'],
])('credentials in a source are not logged: %s', async (source, shown) => {
  const server = await startServer()
  const path = `/images/${uuid()}?action=import-remote&source=`
  const line = await logged(server, 'POST', `${path}${source}`)
  expect(line.req).toMatchObject({ url: `${path}${shown}` })
  expect(JSON.stringify(server.log())).not.toMatch(SECRET)
})

test('credentials of a source are not logged where an import of it fails either', async () => {
  const config = { allowPrivateSources: true, imports: { retries: 1, firstDelay: 1 } }
  const server = await startServer({ config })
  const source = encodeURIComponent('http://eve:sXq4711zR@127.0.0.1:1/')
  const answer = await call(server, 'POST', `/images/${uuid()}?action=import-remote&source=${source}`)
  expect(answer.text).not.toMatch(SECRET)
  await server.stop()
  expect(JSON.stringify(server.log())).not.toMatch(SECRET)
})

needs('script', 'bsdutils')('on a terminal the log is lines for people', async () => {
  const { configPath, stop } = await startServer()
  await stop()
  const command = `sh -c 'echo pid $$; exec ${process.execPath} ${PROGRAM} -s -c ${configPath}'`
  const terminal = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = new Promise(resolve => terminal.on('close', resolve))
  let shown = ''
  terminal.stdout.on('data', chunk => {
    shown += chunk
  })
  const line = await eventually('a line', () => shown.split('\n').find(text => text.includes('listening')))
  process.kill(Number(/pid (\d+)/.exec(shown)![1]))
  await closed
  expect(line).toMatch(/INFO.*listening on 127\.0\.0\.1, port \d+; 0 images in /)
  expect(shown).not.toContain('"level":30')
})
