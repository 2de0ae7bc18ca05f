import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { bytes, call, create, publish } from '../support/api.ts'
import { eventually, imgapi } from '../support/run.ts'
import { AUTH, PASSWORD, startServer, type TestServer, temporaryFolder, USER } from '../support/server.ts'

const basic = (name: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
})

const EXAMPLE = new URL('../../imgapi.example.json', import.meta.url).pathname

describe('a config that is wrong ends the start with exit code 1, and nothing is touched', () => {
  const folderWith = (config: string) => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'config.json'), config)
    return folder
  }

  test('a file that is not there is named', async () => {
    const folder = temporaryFolder()
    const { code, stdout, stderr } = await imgapi(['-s', '-c', join(folder, 'config.json')])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toBe(`imgapi: ${folder}/config.json: there is no such file; name one with -c FILE\n`)
  })

  test.each([
    ['{"datadir": "data", "port": 80, "prot": 8080, "userdb": [{"name": "x", "password": 4711}]}', 2],
    ['{"datadir": "data", "tls": {"cert": "no.pem", "key": "no.pem"}}', 1],
    ['{"datadir": "data", "port": 8080, }', 1],
  ])('%s', async (config, lines) => {
    const folder = folderWith(config)
    const { code, stdout, stderr } = await imgapi(['-s', '-c', 'config.json'], { cwd: folder })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr.trimEnd().split('\n')).toHaveLength(lines)
    for (const line of stderr.trimEnd().split('\n')) expect(line).toMatch(/^imgapi: (config\.json|tls)/)
    expect(stderr).not.toContain('4711')
    expect(existsSync(join(folder, 'data'))).toBe(false)
  })
})

const startOf = (server: TestServer) =>
  eventually('two lines', () => (server.log().length > 1 ? server.log() : undefined))

test('the start is logged with address, port, datadir, number of images and what to type on SmartOS', async () => {
  const first = await startServer({ keep: true })
  onTestFinished(() => rmSync(first.folder, { recursive: true, force: true }))
  await publish(first)
  await create(first)
  await first.stop()

  const server = await startServer({ folder: first.folder })
  const [listening, source] = await startOf(server)
  expect(listening).toMatchObject({
    level: 30,
    address: '127.0.0.1',
    port: server.port,
    datadir: server.datadir,
    images: 2,
    msg: `listening on 127.0.0.1, port ${server.port}; 2 images in ${server.datadir}`,
  })
  expect(source!.msg).toBe(`on a SmartOS host: imgadm sources -a http://127.0.0.1:${server.port}`)
})

test('a host that is no address of this machine is shown to clients, and every address is listened on', async () => {
  const server = await startServer({ config: { host: 'images.example.com' } })
  const [listening, source] = await startOf(server)
  expect(listening).toMatchObject({ address: 'all' })
  expect(source!.msg).toContain(`imgadm sources -a http://images.example.com:${server.port}`)
  expect((await call(server, 'GET', '/ping')).status).toBe(200)
})

describe('the example config', () => {
  test('is complete: its server takes an image from the user it names', async () => {
    const example = JSON.parse(readFileSync(EXAMPLE, 'utf8'))
    const { name, password } = example.userdb[0]
    const server = await startServer({ config: { ...example, port: 0 } })
    const headers = basic(name, password)
    const body = { name: 'a', version: '1', type: 'zone-dataset', os: 'smartos' }
    expect((await call(server, 'POST', '/images', { headers, body })).status).toBe(200)
    expect(Object.keys(example).sort()).toEqual(['datadir', 'host', 'port', 'userdb'])
  })

  const warnings = (log: { level: number; msg: string }[]) =>
    log.filter(entry => entry.level === 40 && entry.msg.includes('password of the example config'))

  test('its password is warned of where others can reach the server', async () => {
    const { userdb } = JSON.parse(readFileSync(EXAMPLE, 'utf8'))
    const server = await startServer({ config: { userdb, address: '0.0.0.0' } })
    await eventually('a warning', () => warnings(server.log()).length === 1)
    expect(warnings(server.log())[0]!.msg).not.toContain(userdb[0].password)
  })

  test('its password is not warned of where only this machine can', async () => {
    const { userdb } = JSON.parse(readFileSync(EXAMPLE, 'utf8'))
    const server = await startServer({ config: { userdb, address: '127.0.0.1' } })
    await server.stop()
    expect(warnings(server.log())).toEqual([])
  })

  test('a password of one’s own is not warned of', async () => {
    const server = await startServer({ config: { address: '0.0.0.0' } })
    await server.stop()
    expect(warnings(server.log())).toEqual([])
  })
})

test('authType "none" is warned of where others can reach the server', async () => {
  const server = await startServer({ config: { authType: 'none', address: '0.0.0.0' } })
  await eventually('a warning', () => server.log().some(({ level, msg }) => level === 40 && /none/.test(msg)))
})

describe('a signal to stop', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('%s ends the server with exit code 0', async signal => {
    const server = await startServer()
    await call(server, 'GET', '/images')
    server.signal(signal)
    expect(await server.exited).toBe(0)
    expect(server.log().at(-1)).toMatchObject({ level: 30, msg: 'stopped' })
    expect(server.stderr()).toBe('')
  })

  test('a download under way is finished first, and no new connection is taken', async () => {
    const server = await startServer()
    const content = bytes(30_000_000)
    const image = await publish(server, content)
    const download = await fetch(`${server.url}/images/${image.uuid}/file`)
    server.signal('SIGTERM')
    await eventually('no new connection', () =>
      fetch(`${server.url}/ping`).then(
        () => false,
        () => true,
      ),
    )
    expect(Buffer.from(await download.arrayBuffer()).equals(content)).toBe(true)
    expect(await server.exited).toBe(0)
  })

  test('a transfer that does not end is cut off after shutdownTimeout', async () => {
    const server = await startServer({ config: { shutdownTimeout: 1 } })
    const image = await publish(server, bytes(30_000_000))
    const download = await fetch(`${server.url}/images/${image.uuid}/file`)
    server.signal('SIGTERM')
    expect(await server.exited).toBe(0)
    await expect(download.arrayBuffer()).rejects.toThrow()
  })
})

describe('SIGHUP', () => {
  const reloaded = (server: { log(): { msg: string }[] }, times = 1) =>
    eventually('a line about the reload', () => {
      const lines = server.log().filter(({ msg }) => /^config (not )?reloaded/.test(msg))
      return lines.length === times ? lines.at(-1) : undefined
    })
  const rewrite = (server: { configPath: string }, changes: Record<string, unknown>) => {
    const config = JSON.parse(readFileSync(server.configPath, 'utf8'))
    writeFileSync(server.configPath, JSON.stringify({ ...config, ...changes }))
  }
  const listAs = async (server: { url: string }, headers: Record<string, string>) =>
    (await call(server, 'GET', '/images', { headers })).status

  test('takes over users without losing a request', async () => {
    const server = await startServer()
    rewrite(server, { userdb: [{ name: 'eve', password: 'new' }] })
    server.signal('SIGHUP')
    await reloaded(server)
    expect(await listAs(server, basic('eve', 'new'))).toBe(200)
    expect(await listAs(server, AUTH)).toBe(401)
  })

  test('takes over the log level', async () => {
    const server = await startServer()
    const ping = (id: string) => call(server, 'GET', '/ping', { headers: { 'x-request-id': id } })
    await ping('before')
    rewrite(server, { logLevel: 'error', userdb: [{ name: 'eve', password: 'new' }] })
    server.signal('SIGHUP')
    // The line about the reload is below that level already; that the new user is known tells of it.
    await eventually('eve is known', async () => (await listAs(server, basic('eve', 'new'))) === 200)
    await ping('after')
    await server.stop()
    const ids = server.log().map(({ req_id }) => req_id)
    expect(ids).toContain('before')
    expect(ids).not.toContain('after')
  })

  test('with a config that is wrong, keeps the old one and says so at level error', async () => {
    const server = await startServer()
    writeFileSync(server.configPath, '{"datadir": "data", "userdb": [{"name": "eve"}]}')
    server.signal('SIGHUP')
    expect(await reloaded(server)).toMatchObject({
      level: 50,
      msg: `config not reloaded: ${server.configPath}: userdb[0].password: found nothing, expected text`,
    })
    expect(await listAs(server, AUTH)).toBe(200)
    rmSync(server.configPath)
    server.signal('SIGHUP')
    await reloaded(server, 2)
    expect(await listAs(server, basic(USER, PASSWORD))).toBe(200)
  })
})

test('a port that is taken is told with exit code 1, and the data directory is let go', async () => {
  const other = createServer()
  onTestFinished(() => {
    other.close()
  })
  const port = await new Promise<number>(resolve =>
    other.listen(0, '127.0.0.1', () => resolve((other.address() as { port: number }).port)),
  )
  const folder = temporaryFolder()
  const config = { datadir: 'data', port, host: '127.0.0.1' }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  const { code, stderr } = await imgapi(['-s', '-c', 'config.json'], { cwd: folder })
  expect(code).toBe(1)
  expect(stderr).toBe(
    `imgapi: cannot listen on 127.0.0.1, port ${port}: listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`,
  )
  const server = await startServer({ folder })
  expect((await call(server, 'GET', '/ping')).status).toBe(200)
})

test('a data directory that another server has is told with its process, exit code 1', async () => {
  const server = await startServer()
  const { code, stderr } = await imgapi(['-s', '-c', server.configPath])
  expect(code).toBe(1)
  expect(stderr).toContain(`in use by another imgapi, process ${server.pid}`)
  expect((await call(server, 'GET', '/ping')).status).toBe(200)
})

test.each(['serve', 'gc', 'check'])('%s tells in one line that the datadir is not a folder', async name => {
  const folder = temporaryFolder()
  const configPath = join(folder, 'config.json')
  writeFileSync(configPath, '{"datadir": "data"}')
  writeFileSync(join(folder, 'data'), 'a file')
  const { code, stderr } = await imgapi([name, '-c', configPath])
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^imgapi: .*data.*\n$/) })
})
