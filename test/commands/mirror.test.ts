import { spawn } from 'node:child_process'
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bytes, call, publish, sha1 } from '../support/api.ts'
import { cli, done } from '../support/cli.ts'
import { namesIn } from '../support/folders.ts'
import { imgapi as program } from '../support/run.ts'
import { PASSWORD, PROGRAM, startServer, temporaryFolder, USER } from '../support/server.ts'
import { imgapi, remoteManifest, sendContent, sendJson, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

const mirrorsOf = (url: string) => ({
  imports: { firstDelay: 20, longestDelay: 100, retries: 1 },
  mirrors: [{ source: url, interval: 100_000 }],
})

/** A config of a data directory that is there, and the command with it. */
function prepare(source: { url: string }, changes: Record<string, unknown> = {}) {
  const folder = temporaryFolder()
  const path = join(folder, 'mirror.json')
  mkdirSync(join(folder, 'data'))
  const userdb = [{ name: USER, password: PASSWORD }]
  writeFileSync(path, JSON.stringify({ datadir: 'data', userdb, ...mirrorsOf(source.url), ...changes }))
  return { folder, path, mirror: (...flags: string[]) => program(['mirror', '-c', path, ...flags]) }
}

/** A server whose mirror has run once, and a config that names its data directory and port. */
async function prepareServer(source: { url: string }) {
  const server = await startServer({ config: mirrorsOf(source.url) })
  await until('the first run', () => server.log().some(({ msg }) => msg.startsWith('mirror of ')))
  return { server, ...prepare(source, { datadir: server.datadir, port: server.port }) }
}

test('with a server the server does the work; the command says what, and what it would do', async () => {
  const source = await startServer()
  await publish(source, bytes(1234), { name: 'first' })
  const { server, mirror } = await prepareServer(source)
  const { uuid } = await publish(source, bytes(4321), { name: 'second' })
  const dry = await done(mirror('--dry-run'))
  expect(dry.stdout).toMatch(new RegExp(`^import +${uuid} +second 1\\.0\\.0 +planned`, 'm'))
  expect(dry.stdout).toContain(`${source.url}/: 1 to do, 4.22 KiB to fetch\n`)
  expect((await call(server, 'GET', '/images')).body).toHaveLength(1)
  expect(JSON.parse((await done(mirror('-n', '--json'))).stdout)).toMatchObject([
    { source: `${source.url}/`, actions: [{ action: 'import', uuid, size: 4321 }] },
  ])
  const run = await done(cli(server, ['mirror', '--source', source.url]))
  expect(run.stdout).toMatch(new RegExp(`^import +${uuid} +second 1\\.0\\.0 +done`, 'm'))
  expect(run.stdout).toContain(
    `${source.url}/: 1 imported, 0 updated, 0 disabled, 0 deleted, 0 failed; 4.22 KiB\n`,
  )
  expect((await call(server, 'GET', '/images')).body).toHaveLength(2)
  expect(JSON.parse((await done(mirror('--json'))).stdout)).toMatchObject([
    { state: 'idle', last_run: { state: 'succeeded', imported: 0 }, actions: [] },
  ])
})

test('without a server it opens the data directory itself, runs once, and leaves it free', async () => {
  const source = await startServer()
  await publish(source, bytes(1234), { name: 'first' })
  const { folder, mirror } = prepare(source)
  const dry = await done(mirror('--dry-run'))
  expect(dry.stdout).toContain('1 to do, 1.21 KiB to fetch')
  expect(namesIn(join(folder, 'data')).filter(name => !name.startsWith('.'))).toEqual([])
  expect((await done(mirror())).stdout).toContain(': 1 imported, ')
  const server = await startServer({ folder })
  expect((await call(server, 'GET', '/images')).body).toEqual((await call(source, 'GET', '/images')).body)
  await server.stop()
  await source.stop()
  const failed = await mirror()
  expect(failed).toMatchObject({ code: 1, stdout: expect.stringContaining(': 0 imported, ') })
  expect(failed.stderr).toMatch(new RegExp(`^imgapi: mirror of ${source.url}/ failed: `, 'm'))
})

test('a run that was interrupted, and then killed, goes on where it ended, to the same bytes', async () => {
  const content = bytes(20_000_000)
  const manifest = remoteManifest(content)
  let held = 5_000_000
  const one = imgapi([manifest], (request, response) => {
    if (held === 0) return sendContent(content, request, response)
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': content.length - from })
    response.write(content.subarray(from, from + held))
  })
  const source = await startSource((request, response) => {
    if (request.url!.startsWith('/images?')) sendJson(response, 200, [manifest])
    else one(request, response)
  })
  const { folder, path, mirror } = prepare(source)
  const jobs = join(folder, 'data/.jobs')
  const partial = () => {
    const name = namesIn(jobs).find(each => each.endsWith('.partial'))
    return name === undefined ? 0 : statSync(join(jobs, name)).size
  }
  const interrupt = async (signal: NodeJS.Signals, reached: number) => {
    const child = spawn(process.execPath, [PROGRAM, 'mirror', '-c', path], { stdio: 'ignore' })
    const ended = new Promise(resolve => child.on('close', resolve))
    await until('more is on disk', () => partial() > reached)
    child.kill(signal)
    return ended
  }
  expect(await interrupt('SIGINT', 0)).toBe(130)
  const before = partial()
  await interrupt('SIGKILL', before)
  expect(partial()).toBeGreaterThan(before)
  held = 0
  const finished = await done(mirror('--json'))
  expect(JSON.parse(finished.stdout)).toMatchObject([{ last_run: { state: 'succeeded', imported: 1 } }])
  expect(source.requests.at(-1)!.range).toMatch(/^bytes=[1-9]\d*-$/)
  const server = await startServer({ folder })
  const got = await fetch(`${server.url}/images/${manifest.uuid}/file`)
  expect(sha1(new Uint8Array(await got.arrayBuffer()))).toBe(sha1(content))
})

test('mistakes are told, each with its exit code', async () => {
  const server = await startServer()
  const none = await program(['mirror', '-c', server.configPath])
  expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining('names no mirrors') })
  const { folder, mirror } = prepare({ url: 'http://127.0.0.1:1' })
  const other = await mirror('--source', 'http://unknown/')
  expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining('no mirror of http://unknown/') })
  expect((await mirror('now')).code).toBe(2)
  const nowhere = prepare({ url: 'http://127.0.0.1:1' }, { datadir: join(folder, 'none') })
  expect(await nowhere.mirror()).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no such directory'),
  })
  const unknown = await cli(server, ['mirror', '--source', 'http://unknown/'])
  expect(unknown).toMatchObject({ code: 3, stderr: expect.stringContaining('ResourceNotFound') })
})
