import { readFileSync, statSync, writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { MirrorStatusSchema } from '../../../src/imports/mirror/status.ts'
import { bytes, call, type Manifest, publish, sha1 } from '../../support/api.ts'
import { selfSigned } from '../../support/certificate.ts'
import { writeImage } from '../../support/datadir.ts'
import { namesIn } from '../../support/folders.ts'
import { startGate } from '../../support/gate.ts'
import { LONG_TEST_TIMEOUT, TEST_TIMEOUT } from '../../support/patience.ts'
import { runProgram } from '../../support/program.ts'
import { needs } from '../../support/programs.ts'
import { startServer, type TestServer, temporaryFolder } from '../../support/server.ts'
import { imgapi, remoteManifest, sendContent, sendJson, startSource } from '../../support/source.ts'
import { until } from '../../support/until.ts'

const QUICK = { firstDelay: 20, longestDelay: 100, retries: 2 }

type Settings = Record<string, unknown>

const mirrorOf = (source: { url: string }, settings: Settings = {}) => ({
  imports: QUICK,
  mirrors: [{ source: source.url, interval: 100_000, ...settings }],
})

/** A server with a mirror whose first run is over. */
async function startMirror(source: { url: string }, settings: Settings = {}, folder?: string) {
  const server = await startServer({ config: mirrorOf(source, settings), ...(folder && { folder }) })
  await firstRun(server)
  return server
}

/** The state of the only mirror, which has the fields that are described and no others. */
async function stateOf(server: TestServer) {
  const [state] = (await call(server, 'GET', '/mirrors?actions=true')).body
  MirrorStatusSchema.strict().parse(state)
  return state
}
const idle = (server: TestServer) =>
  until('the run is over', async () => {
    const { state, next_run } = await stateOf(server)
    return state === 'idle' && next_run !== undefined
  })

/** Runs the mirror and resolves to its state. */
async function again(server: TestServer) {
  await idle(server)
  expect((await call(server, 'POST', '/mirrors?action=run')).status).toBe(200)
  await idle(server)
  return stateOf(server)
}

/** Waits for the run that comes with the start. */
async function firstRun(server: TestServer) {
  await until('the first run', () => server.log().some(({ msg }) => msg.startsWith('mirror of ')))
  await idle(server)
}

const listOf = async (server: TestServer): Promise<Manifest[]> =>
  (await call(server, 'GET', '/images?state=all')).body
const namesOf = async (server: TestServer) => (await listOf(server)).map(({ name }) => name).sort()

async function action(server: TestServer, uuid: string, name: string, body?: unknown) {
  const answer = await call(server, 'POST', `/images/${uuid}?action=${name}`, { body: body ?? {} })
  expect(answer.status, answer.text).toBe(200)
}

const remove = async (server: TestServer, uuid: string) =>
  expect((await call(server, 'DELETE', `/images/${uuid}`)).status).toBe(204)

/** A source that lists that image, too. */
function oneImage(
  manifest: Record<string, unknown>,
  sendFile: Parameters<typeof imgapi>[1],
): RequestListener {
  const answer = imgapi([manifest], sendFile)
  return (request, response) => {
    if (request.url!.startsWith('/images?')) sendJson(response, 200, [manifest])
    else answer(request, response)
  }
}

test(
  'three hundred images in chains, killed five times on the way, end exactly as they are at the source',
  async () => {
    const folder = temporaryFolder()
    const uuids: string[] = []
    for (let index = 0; index < 300; index++) {
      const uuid = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`
      const origin = index % 10 === 0 ? undefined : uuids.at(-1)
      const published_at = new Date(Date.UTC(2024, 0, 1, 0, 300 - index)).toISOString()
      writeImage(folder, uuid, {
        published_at,
        owner: uuid,
        origin,
        version: `1.${index}`,
        futureField: [index],
      })
      uuids.push(uuid)
    }
    const source = await startServer({ folder })
    const gate = await startGate(source)
    const config = mirrorOf(gate)
    const mirrorFolder = temporaryFolder()
    let server = await startServer({ folder: mirrorFolder, config })
    for (let kill = 1; kill <= 5; kill++) {
      gate.open(45)
      await until(`kill ${kill}`, () => gate.waiting() > 0)
      await server.kill()
      await until('no request waits any more', () => gate.waiting() === 0)
      server = await startServer({ folder: mirrorFolder, config })
    }
    const onTheWay = (await listOf(server)).filter(({ state }) => state === 'active').length
    expect(onTheWay).toBeGreaterThan(100)
    expect(onTheWay).toBeLessThanOrEqual(5 * 45)
    gate.open(10_000)
    await until('the end', async () => (await stateOf(server)).last_run?.state === 'succeeded', TEST_TIMEOUT)
    expect(await listOf(server)).toEqual(await listOf(source))
    for (const uuid of uuids) {
      const file = await call(server, 'GET', `/images/${uuid}/file`)
      expect(file.text).toBe(uuid)
    }
    const state = await stateOf(server)
    expect(state).toMatchObject({ images: 300, removed: 0, last_run: { failed: 0, deleted: 0 } })
    expect(await again(server)).toMatchObject({
      last_run: { state: 'succeeded', imported: 0, updated: 0 },
      actions: [],
    })
    await server.stop()
    const checked = await runProgram('check', '-c', server.configPath)
    expect(checked).toMatchObject({ code: 0, stdout: expect.stringContaining('no problem found') })
  },
  LONG_TEST_TIMEOUT,
)

test('a file that was half here when the server was killed goes on from there, to the same bytes', async () => {
  const content = bytes(20_000_000)
  const manifest = remoteManifest(content)
  let isHeld = true
  const listener = oneImage(manifest, (request, response) => {
    if (!isHeld) return sendContent(content, request, response)
    response.writeHead(200, { 'content-length': content.length })
    response.write(content.subarray(0, 5_000_000))
  })
  const source = await startSource(listener)
  const config = mirrorOf(source)
  const server = await startServer({ folder: temporaryFolder(), config })
  const jobs = join(server.datadir, '.jobs')
  const partials = () => namesIn(jobs).filter(name => name.endsWith('.partial'))
  await until('a part is on disk', () => partials().some(name => statSync(join(jobs, name)).size > 0))
  const { progress } = await stateOf(server)
  expect(progress).toMatchObject({ planned: 1, done: 0, bytes_expected: content.length })
  expect(progress.images).toMatchObject([{ uuid: manifest.uuid, name: 'remote 1.0.0' }])
  await server.kill()
  isHeld = false
  const again = await startServer({ folder: server.folder, config })
  await firstRun(again)
  expect(source.requests.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-$/)
  const got = await fetch(`${again.url}/images/${manifest.uuid}/file`)
  expect(sha1(new Uint8Array(await got.arrayBuffer()))).toBe(sha1(content))
  expect((await stateOf(again)).images).toBe(1)
  expect(partials()).toEqual([])
})

test('a source of the config may be on a private network; where it sends us from there may not', async () => {
  const secret = await startSource((_request, response) => sendJson(response, 200, []))
  const source = await startSource((request, response) => {
    response.writeHead(302, { location: secret.url + request.url }).end()
  })
  const server = await startMirror(source)
  expect(await stateOf(server)).toMatchObject({
    last_run: { state: 'failed' },
    last_error: expect.stringContaining('not a public address'),
  })
  expect(secret.requests).toEqual([])
})

needs('openssl', 'openssl')('a source over TLS has to show a certificate that is trusted', async () => {
  const { cert, key } = selfSigned()
  const content = bytes(1000)
  const manifest = remoteManifest(content)
  const listener = oneImage(manifest, (request, response) => sendContent(content, request, response))
  const source = await startSource(listener, {
    cert: readFileSync(cert, 'utf8'),
    key: readFileSync(key, 'utf8'),
  })
  const strict = await startMirror(source)
  expect(await stateOf(strict)).toMatchObject({
    images: 0,
    last_run: { state: 'failed', error: expect.stringMatching(/certificate/i) },
  })
  const config = { ...mirrorOf(source), sources: [{ url: source.url, ca: cert }] }
  const trusting = await startServer({ config })
  await firstRun(trusting)
  expect(await stateOf(trusting)).toMatchObject({ images: 1, last_run: { state: 'succeeded' } })
})

test('images go into the channel of the settings', async () => {
  const source = await startServer()
  const { uuid } = await publish(source)
  const channels = [{ name: 'release', default: true }, { name: 'dev' }]
  const server = await startServer({ config: { ...mirrorOf(source, { channel: 'dev' }), channels } })
  await firstRun(server)
  expect((await call(server, 'GET', '/images')).body).toEqual([])
  expect((await call(server, 'GET', '/images?channel=dev')).body).toMatchObject([{ uuid }])
})

test('every field, the icon and the state arrive, and later changes of them follow; edits made here stay until then', async () => {
  const source = await startServer()
  const origin = await publish(source, bytes(2000), { name: 'origin' })
  const image = await publish(source, bytes(3000), {
    origin: origin.uuid,
    tags: { a: 'b' },
    billing_tags: ['x'],
  })
  const png = { headers: { 'content-type': 'image/png' }, body: bytes(200) }
  await call(source, 'PUT', `/images/${image.uuid}/icon`, png)
  // A disabled origin is in no list for strangers; what is made from it needs it all the same.
  await action(source, origin.uuid, 'disable')
  const server = await startMirror(source)
  const reader = await startServer({
    config: mirrorOf({ url: source.url.replace('//', '//admin:correct%20horse@') }),
  })
  await firstRun(reader)
  expect((await stateOf(reader)).source).toBe(`${source.url}/`)
  expect(await listOf(reader)).toEqual(await listOf(source))
  const { billing_tags: _, ...shown } = (await call(source, 'GET', `/images/${image.uuid}`)).body
  expect((await call(server, 'GET', `/images/${image.uuid}`)).body).toEqual(shown)
  const icon = await fetch(`${server.url}/images/${image.uuid}/icon`)
  expect(Buffer.from(await icon.arrayBuffer()).equals(Buffer.from(png.body))).toBe(true)
  expect((await call(server, 'GET', `/images/${origin.uuid}`)).body.state).toBe('disabled')

  await action(server, image.uuid, 'update', { description: 'edited here' })
  await action(server, image.uuid, 'disable')
  expect(await again(server)).toMatchObject({ last_run: { state: 'succeeded', updated: 0 } })
  await action(source, image.uuid, 'update', { description: 'edited there', tags: { c: 'd' } })
  await call(source, 'DELETE', `/images/${image.uuid}/icon`)
  const { actions } = await again(server)
  expect(actions).toMatchObject([
    { action: 'update', fields: ['description', 'tags', 'icon'], result: 'done' },
  ])
  const after = (await call(server, 'GET', `/images/${image.uuid}`)).body
  // That it was disabled here is this server's own matter until that changes there.
  expect(after).toMatchObject({ description: 'edited there', tags: { c: 'd' }, state: 'disabled' })
  expect(after.icon).toBeUndefined()
  await action(source, origin.uuid, 'enable')
  await again(server)
  expect((await call(server, 'GET', `/images/${origin.uuid}`)).body.state).toBe('active')
})

test('what the source deletes is kept, disabled or deleted, as the settings say, and nothing else is touched', async () => {
  const source = await startServer()
  const parent = await publish(source, bytes(100), { name: 'parent' })
  await publish(source, bytes(100), { name: 'child', origin: parent.uuid })
  const lone = await publish(source, bytes(100), { name: 'lone' })
  const base = await publish(source, bytes(100), { name: 'base' })
  const top = await publish(source, bytes(100), { name: 'top', origin: base.uuid })
  const [keep, disable, deleting] = await Promise.all(
    ['keep', 'disable', 'delete'].map(onDelete => startMirror(source, { onDelete })),
  )
  const servers = { keep: keep!, disable: disable!, delete: deleting! }
  for (const server of Object.values(servers)) {
    await publish(server, bytes(100), { name: 'own' })
    await publish(server, bytes(100), { name: 'own-child', origin: base.uuid })
  }
  await remove(source, lone.uuid)
  await remove(source, top.uuid)
  await remove(source, base.uuid)
  for (const server of Object.values(servers)) await again(server)
  const all = ['base', 'child', 'lone', 'own', 'own-child', 'parent', 'top']
  expect(await namesOf(servers.keep)).toEqual(all)
  expect((await listOf(servers.keep)).every(({ state }) => state === 'active')).toBe(true)
  expect(await namesOf(servers.disable)).toEqual(all)
  const disabled = (await listOf(servers.disable)).filter(({ state }) => state === 'disabled')
  expect(disabled.map(({ name }) => name).sort()).toEqual(['base', 'lone', 'top'])
  expect(await namesOf(servers.delete)).toEqual(['base', 'child', 'own', 'own-child', 'parent'])
  const { actions } = await stateOf(servers.delete)
  const byUuid = new Map(actions.map((one: { uuid: string }) => [one.uuid, one]))
  expect(byUuid.size).toBe(3)
  const reason = expect.stringContaining('images here are made from it')
  expect(byUuid.get(base.uuid)).toMatchObject({ action: 'skip', reason })
  expect(byUuid.get(lone.uuid)).toMatchObject({ action: 'delete', result: 'done' })
  expect(byUuid.get(top.uuid)).toMatchObject({ action: 'delete', result: 'done' })
  // What a user of this server enabled again stays so.
  await action(servers.disable, lone.uuid, 'enable')
  await again(servers.disable)
  expect((await call(servers.disable, 'GET', `/images/${lone.uuid}`)).body.state).toBe('active')
})

test('what was deleted here by hand does not come back, after a restart neither, and nothing made from it comes', async () => {
  const source = await startServer()
  const image = await publish(source, bytes(100), { name: 'gone' })
  await publish(source, bytes(100), { name: 'kept' })
  const server = await startMirror(source)
  await remove(server, image.uuid)
  expect(await again(server)).toMatchObject({ removed: 1, images: 1, last_run: { imported: 0 } })
  await publish(source, bytes(100), { name: 'made from it', origin: image.uuid })
  await server.stop()
  const restarted = await startMirror(source, {}, server.folder)
  expect(await namesOf(restarted)).toEqual(['kept'])
  const { actions } = await stateOf(restarted)
  expect(actions.map(({ reason }: { reason: string }) => reason)).toEqual([
    'was deleted here by hand',
    expect.stringContaining(`its origin ${image.uuid} was deleted here by hand`),
  ])
  // A user can import it all the same; then it is not the mirror's.
  const manifest = (await call(source, 'GET', `/images/${image.uuid}`)).body
  await action(restarted, image.uuid, 'import', manifest)
  await again(restarted)
  expect((await call(restarted, 'GET', `/images/${image.uuid}`)).body.state).toBe('unactivated')
})

test('filters choose by name, os, type, date and number; origins come with what is chosen', async () => {
  const source = await startServer()
  const base = await publish(source, bytes(100), { name: 'plain', version: '1' })
  await publish(source, bytes(100), { name: 'base-64', version: '1' })
  await publish(source, bytes(100), { name: 'base-64', version: '2' })
  await publish(source, bytes(100), { name: 'base-64', version: '3', origin: base.uuid })
  await publish(source, bytes(100), { name: 'base-lts', version: '1', os: 'linux' })
  await publish(source, bytes(100), { name: 'debian', version: '1', type: 'lx-dataset', os: 'linux' })
  const named = async (settings: Settings) =>
    (await listOf(await startMirror(source, settings)))
      .map(({ name, version }) => `${name}@${version}`)
      .sort()
  const found = await Promise.all([
    named({ include: [{ name: 'base-*', newest: 1 }], exclude: [{ os: 'linux' }] }),
    named({ include: [{ type: 'lx-dataset' }, { name: 'base-l*' }] }),
    named({ include: [{ publishedAfter: '2100-01-01' }] }),
  ])
  expect(found).toEqual([['base-64@3', 'plain@1'], ['base-lts@1', 'debian@1'], []])
})

test('while the source is down everything is served on, the state and the log say so, and later it goes on', async () => {
  const source = await startServer()
  const gate = await startGate(source)
  gate.open(2)
  const image = await publish(source, bytes(100))
  const server = await startMirror(gate, { onDelete: 'delete' })
  gate.instead(request => request.socket.destroy())
  const state = await again(server)
  expect(state).toMatchObject({
    images: 1,
    last_run: { state: 'failed' },
    last_error: expect.stringContaining(gate.url),
  })
  expect(state.last_success < state.last_run.started_at).toBe(true)
  expect((await call(server, 'GET', `/images/${image.uuid}/file`)).status).toBe(200)
  await until('the log says so', () =>
    server
      .log()
      .some(({ level, msg }) => level === 50 && /are still served$/.test(msg) && msg.includes(gate.url)),
  )
  gate.instead(undefined)
  await publish(source, bytes(100))
  const after = await again(server)
  expect(after).toMatchObject({ images: 2, last_run: { state: 'succeeded', imported: 1 } })
  expect(after.last_error).toBeUndefined()
})

test.each([
  ['nothing at all', [], { code: 'ResourceNotFound', message: 'no such image' }],
  ['other images, and to questions as no Image API does', [remoteManifest(bytes(10))], 'Not Found'],
])('a source that answers with %s deletes nothing here', async (_, list, answer) => {
  const source = await startServer()
  await publish(source, bytes(100))
  const gate = await startGate(source)
  gate.open(1)
  const server = await startMirror(gate, { onDelete: 'delete' })
  gate.instead((request, response) => {
    if (request.url!.startsWith('/images?')) sendJson(response, 200, list)
    else sendJson(response, 404, answer)
  })
  expect(await again(server)).toMatchObject({ images: 1, last_run: { state: 'failed', deleted: 0 } })
  expect(await listOf(server)).toHaveLength(1)
})

test('no more bytes a second are taken than the limit allows, and the file is whole', async () => {
  const source = await startServer()
  const content = bytes(1_500_000)
  const image = await publish(source, content)
  const started = performance.now()
  const server = await startMirror(source, { rateLimit: 1_000_000 })
  const seconds = (performance.now() - started) / 1000
  expect(seconds).toBeGreaterThan(1.4)
  const file = await fetch(`${server.url}/images/${image.uuid}/file`)
  expect(sha1(new Uint8Array(await file.arrayBuffer()))).toBe(sha1(content))
})

test('a file that is not what its manifest says does not come, and the others do', async () => {
  const source = await startServer()
  const good = await publish(source, bytes(1000), { name: 'good' })
  const bad = await publish(source, bytes(1000), { name: 'bad' })
  const folder = join(source.datadir, bad.uuid)
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'))
  writeFileSync(join(folder, manifest._imgapi.files[0].name), bytes(1000))
  const server = await startMirror(source)
  const state = await stateOf(server)
  expect(state.last_run).toMatchObject({ state: 'failed', imported: 1, failed: 1 })
  expect(state.last_run.error).toContain('sha1')
  expect((await listOf(server)).map(({ uuid }) => uuid)).toEqual([good.uuid])
})

test('the endpoints need credentials, and a source that is not configured is not found', async () => {
  const server = await startServer()
  expect((await call(server, 'GET', '/mirrors', { anonymous: true })).status).toBe(401)
  expect((await call(server, 'POST', '/mirrors?action=run', { anonymous: true })).status).toBe(401)
  expect((await call(server, 'GET', '/mirrors')).body).toEqual([])
  expect(await call(server, 'POST', '/mirrors')).toMatchObject({
    status: 409,
    body: { code: 'MissingParameter' },
  })
  expect(await call(server, 'POST', '/mirrors?action=run&source=http://unknown/')).toMatchObject({
    status: 404,
    body: { code: 'ResourceNotFound' },
  })
})
