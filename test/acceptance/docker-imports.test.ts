import { createRequire } from 'node:module'
import { expect } from 'vitest'
import { call } from '../support/api.ts'
import { json, send } from '../support/http.ts'
import { digestOf, layerOf } from '../support/layers.ts'
import {
  beginImport,
  expectForbidden,
  filesLeft,
  importStreamed,
  listAll,
  statusOf,
} from '../support/messages.ts'
import { needsAll } from '../support/programs.ts'
import { LOGIN, push, pushIndex, startRegistry } from '../support/registry.ts'
import { AUTH, startServer, type TestServer } from '../support/server.ts'
import { startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

/** `POST /images?action=import-docker-image` (contract, section 11), from the real registry. */

// CommonJS of before there were types: the reference server makes its manifests with it.
const { imgManifestFromDockerInfo } = createRequire(import.meta.url)('imgmanifest')

const test = needsAll({ 'docker-registry': 'docker-registry', openssl: 'openssl' })

const CONFIG = { allowPrivateSources: true, imports: { retries: 2, firstDelay: 10, longestDelay: 20 } }
const LAYERS = [
  layerOf({ name: 'etc/', type: '5' }, { name: 'etc/os-release', content: 'first' }),
  layerOf({ name: 'app', content: 'x'.repeat(2_000_000) }),
]

const importDocker = (server: TestServer, query: string, headers: Record<string, string> = {}) =>
  importStreamed(server, `action=import-docker-image&${query}`, headers)

const uuidOf = (...digests: string[]) =>
  digestOf(digests.join(' '))
    .slice(7, 39)
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')

const short = (digest: string) => digest.slice(7, 19)

test('every layer becomes an active image, the origin of the next, and the progress tells what happens', async () => {
  const registry = await startRegistry()
  const pushed = await push(registry, 'some/app', 'v1', LAYERS)
  const server = await startServer({ config: CONFIG })
  const repo = `${registry.host}/some/app`
  const { reply, messages } = await importDocker(server, `repo=${repo}&tag=v1`)
  expect([reply.status, reply.headers['content-type']]).toEqual([200, 'application/json'])
  expect(reply.headers['content-length']).toBeUndefined()
  for (const message of messages) expect(message.id).toBe(repo)
  const [first, second] = pushed.layers as [string, string]
  const told = messages.map(statusOf)
  expect(told.slice(0, 3)).toEqual([
    expect.stringMatching(new RegExp(`^status v1: Pulling from ${repo} \\(req [0-9a-f-]{36}\\)$`)),
    `status ${short(first)} Pulling fs layer`,
    `status ${short(second)} Pulling fs layer`,
  ])
  for (const layer of [first, second]) {
    const own = told.filter(text => text.startsWith(`progress ${short(layer)}`))
    expect([...new Set(own.map(text => text.slice(22)))]).toEqual([
      ...['Pulling fs layer', 'Downloading', 'Download complete', 'Activating image', 'Pull complete'],
    ])
  }
  expect(told.slice(-3)).toEqual([
    'create-docker-image',
    `status Digest: ${pushed.digest}`,
    `status Status: Downloaded newer image for ${repo}:v1`,
  ])
  const [base, head] = [uuidOf(first), uuidOf(first, second)]
  expect(messages.find(({ type }) => type === 'create-docker-image')).toMatchObject({
    config_digest: pushed.configDigest,
    head: true,
    image: { architecture: 'amd64', os: 'linux' },
    image_uuid: head,
    manifest_digest: pushed.digest,
    size: LAYERS[0]!.length + LAYERS[1]!.length,
    dockerImageVersion: '2.2',
  })
  const { body: top } = await call(server, 'GET', `/images/${head}`)
  expect(top).toMatchObject({
    name: 'docker-layer',
    version: short(second),
    type: 'docker',
    os: 'linux',
    state: 'active',
    public: true,
    origin: base,
    published_at: '2026-01-02T03:04:05.000Z',
    files: [{ size: LAYERS[1]!.length, compression: 'gzip' }],
    tags: {
      'docker:repo': repo,
      'docker:id': second,
      'docker:architecture': 'amd64',
      'docker:config': { Cmd: ['sh'], Entrypoint: null, Env: ['PATH=/bin'], WorkingDir: '/data' },
    },
  })
  const { body: bottom } = await call(server, 'GET', `/images/${base}`)
  expect(bottom.origin).toBeUndefined()
  for (const [index, uuid] of [base, head].entries()) {
    const file = await send(`${server.url}/images/${uuid}/file`, 'GET')
    expect(file.body.equals(LAYERS[index]!)).toBe(true)
  }
  expect(filesLeft(server)).toEqual([])
})

test('layer images have the description, os and tags that the reference server gives them', async () => {
  const registry = await startRegistry()
  const created = '2026-01-02T03:04:05.000Z'
  const history = [
    { created, created_by: '/bin/sh -c #(nop) ADD file:rootfs in / ' },
    { created, created_by: '/bin/sh -c #(nop)  ENV A=b', empty_layer: true },
    { created, created_by: `RUN ${'x'.repeat(20_000)}` },
    { created, created_by: 'COPY app /app # buildkit', comment: 'of the step' },
  ]
  const base = { created, architecture: 'amd64', os: 'linux', history }
  const settings = { Env: ['PATH=/bin'], Cmd: ['sh'], Entrypoint: null, WorkingDir: '/data', User: 'app' }
  const configs = {
    built: { ...base, config: settings, container_config: { Cmd: [history[3]!.created_by] } },
    commented: { ...base, config: settings, comment: 'from a container' },
    sparse: {
      ...base,
      architecture: undefined,
      os: 'plan9',
      config: { Cmd: ['sh'] },
      container_config: { Cmd: [history[3]!.created_by] },
    },
  }
  const layers = [...LAYERS, layerOf({ name: 'third', content: 'third' })]
  const server = await startServer({ config: CONFIG })
  for (const [index, [tag, config]] of Object.entries(configs).entries()) {
    // Other layers each time, or their images would be here already.
    const own = layers.map((layer, number) => Buffer.concat([layer, Buffer.from([index, number])]))
    const pushed = await push(registry, 'some/app', tag, own, { config })
    const repo = `${registry.host}/some/app`
    await importDocker(server, `repo=${repo}&tag=${tag}`)
    const steps = history.filter(step => !step.empty_layer)
    for (const [layer, step] of steps.entries()) {
      const isLast = layer === steps.length - 1
      const layerDigests = pushed.layers.slice(0, layer + 1)
      const synthetic = { created: step.created, container_config: { Cmd: [step.created_by] } }
      const info = { imgJson: isLast ? config : synthetic, layerDigests, repo: { localName: repo } }
      const { os = 'other', ...wanted } = imgManifestFromDockerInfo(info)
      const { body } = await call(server, 'GET', `/images/${wanted.uuid}`)
      const { files, state, ...found } = body
      expect(found, `${tag}, layer ${layer}`).toEqual(JSON.parse(JSON.stringify({ ...wanted, os })))
    }
  }
})

test('what is here already is not fetched again, and layers are shared between images', async () => {
  const registry = await startRegistry()
  await push(registry, 'one', 'v1', LAYERS)
  const other = layerOf({ name: 'other', content: 'other' })
  await push(registry, 'two', 'v1', [LAYERS[0]!, other])
  const server = await startServer({ config: CONFIG })
  await importDocker(server, `repo=${registry.host}/one&tag=v1`)
  const again = await importDocker(server, `repo=${registry.host}/one&tag=v1`)
  const told = again.messages.map(statusOf)
  expect(told.filter(text => text.endsWith('Already exists'))).toHaveLength(2)
  expect(told.at(-1)).toBe(`status Status: Image is up to date for ${registry.host}/one:v1`)
  await importDocker(server, `repo=${registry.host}/two&tag=v1`)
  const images = json(await send(`${server.url}/images?type=docker`, 'GET'))
  expect(images).toHaveLength(3)
})

test('layers that the mode of the server forbids are refused before one is fetched', async () => {
  const registry = await startRegistry()
  await push(registry, 'some/app', 'v1', LAYERS)
  const server = await startServer({ config: { ...CONFIG, mode: 'private' } })
  const query = `repo=${registry.host}/some/app&tag=v1`
  const { messages } = await importDocker(server, query)
  expectForbidden(messages)
  expect(messages.filter(({ type }) => type === 'progress')).toEqual([])
  const allowed = await importDocker(server, `${query}&public=false`)
  expect(statusOf(allowed.messages.at(-1)!)).toMatch(/Downloaded newer image/)
  // What is here is here, whatever is asked for.
  const again = await importDocker(server, query)
  expect(statusOf(again.messages.at(-1)!)).toMatch(/Image is up to date/)
})

test('two who want the same image at once both get it', async () => {
  const registry = await startRegistry()
  await push(registry, 'app', 'v1', LAYERS)
  const server = await startServer({ config: CONFIG })
  const both = await Promise.all([1, 2].map(() => importDocker(server, `repo=${registry.host}/app&tag=v1`)))
  for (const { messages } of both) expect(messages.filter(({ type }) => type === 'error')).toEqual([])
  expect(json(await send(`${server.url}/images`, 'GET'))).toHaveLength(2)
  expect(filesLeft(server)).toEqual([])
})

test('by digest, of an index the one for linux-amd64, and not public when told so', async () => {
  const registry = await startRegistry()
  const arm = await push(registry, 'app', undefined, LAYERS.slice(0, 1), {
    config: { architecture: 'arm64' },
  })
  const amd = await push(registry, 'app', undefined, LAYERS, { kind: 'oci' })
  const index = await pushIndex(registry, 'app', 'multi', [
    { image: arm, architecture: 'arm64' },
    { image: amd, architecture: 'amd64' },
  ])
  const server = await startServer({ config: CONFIG })
  const { messages } = await importDocker(server, `repo=${registry.host}/app&digest=${index}&public=false`)
  expect(messages.map(statusOf).slice(-2)).toEqual([
    `status Digest: ${index}`,
    `status Status: Downloaded newer image for ${registry.host}/app@${index}`,
  ])
  const images = json(await send(`${server.url}/images`, 'GET', { headers: AUTH }))
  expect(images.map((image: { public: boolean }) => image.public)).toEqual([false, false])
})

test('credentials come in either header; without them the last message says what is missing', async () => {
  const registry = await startRegistry('token')
  await push(registry, 'private/app', 'v1', LAYERS)
  const server = await startServer({ config: CONFIG })
  const query = `repo=${registry.host}/private/app&tag=v1`
  const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64')
  const { reply, messages } = await importDocker(server, query)
  expect([reply.status, messages.length]).toEqual([200, 2])
  expect(messages[1]).toMatchObject({
    type: 'error',
    error: { code: 'RemoteSourceError', message: expect.stringMatching(/authentication required/) },
  })
  const login = { username: LOGIN.user, password: LOGIN.password }
  for (const headers of [
    { 'x-registry-auth': encoded(login) },
    { 'x-registry-config': encoded({ [registry.host]: login, 'other.example.com': {} }) },
  ]) {
    const { messages } = await importDocker(server, query, headers)
    expect(messages.at(-1)!.payload.status).toMatch(/^Status: /)
  }
  const wrong = await importDocker(server, query, {
    'x-registry-auth': encoded({ ...login, password: 'no' }),
  })
  expect(wrong.messages.at(-1)!.error.message).toMatch(/authentication failed/)
  expect(JSON.stringify(server.log()) + server.stderr()).not.toContain(LOGIN.password)
})

test('bad parameters are refused before anything is streamed', async () => {
  const server = await startServer({ config: CONFIG })
  const cases: [query: string, status: number, code: string, headers?: Record<string, string>][] = [
    ['', 422, 'ValidationFailed'],
    ['repo=busybox', 422, 'ValidationFailed'],
    ['tag=latest', 422, 'ValidationFailed'],
    [`repo=busybox&tag=latest&digest=${digestOf('x')}`, 422, 'ValidationFailed'],
    ['repo=BUSYBOX&tag=latest', 422, 'ValidationFailed'],
    ['repo=a/../b&tag=latest', 422, 'ValidationFailed'],
    ['repo=host.example.com:99999/b&tag=latest', 422, 'ValidationFailed'],
    ['repo=999.999.999.999/b&tag=latest', 422, 'ValidationFailed'],
    ['repo=busybox&tag=a%2Fb', 422, 'ValidationFailed'],
    ['repo=busybox&digest=sha256:1', 422, 'ValidationFailed'],
    ['repo=busybox&tag=latest&public=perhaps', 422, 'InvalidParameter'],
    ['repo=busybox&tag=latest', 400, 'BadRequestError', { 'x-registry-auth': 'nonsense' }],
    [
      'repo=busybox&tag=latest',
      400,
      'NotImplemented',
      { 'x-registry-auth': Buffer.from('{"identitytoken":"x"}').toString('base64') },
    ],
    [`repo=busybox&tag=latest&account=${crypto.randomUUID()}`, 403, 'OperatorOnly'],
  ]
  for (const [query, status, code, headers] of cases) {
    const { reply } = await importDocker(server, query, headers)
    expect([query, reply.status, json(reply).code]).toEqual([query, status, code])
  }
  const anonymous = await send(`${server.url}/images?action=import-docker-image&repo=x&tag=y`, 'POST')
  expect(anonymous.status).toBe(401)
})

test('a registry on a private address is refused unless the config allows it', async () => {
  const registry = await startRegistry()
  await push(registry, 'app', 'v1', LAYERS)
  const server = await startServer()
  const { messages } = await importDocker(server, `repo=${registry.host}/app&tag=v1`)
  expect(messages.at(-1)!.error.message).toMatch(/not a public address/)
})

test('a name that is not there is ResourceNotFound', async () => {
  const registry = await startRegistry()
  const server = await startServer({ config: CONFIG })
  const { messages } = await importDocker(server, `repo=${registry.host}/app&tag=v1`)
  expect(messages.at(-1)).toMatchObject({ type: 'error', error: { code: 'ResourceNotFound' } })
})

/** A registry of one image whose second layer comes as the test says. */
async function startOddRegistry(
  second: Buffer,
  answer: (response: import('node:http').ServerResponse) => void,
) {
  const type = 'application/vnd.oci.image.manifest.v1+json'
  const config = JSON.stringify({ architecture: 'amd64', os: 'linux' })
  const descriptor = (bytes: string | Buffer) => ({
    mediaType: 'x',
    digest: digestOf(bytes),
    size: Buffer.byteLength(bytes),
  })
  const manifest = JSON.stringify({
    config: descriptor(config),
    layers: [LAYERS[0]!, second].map(descriptor),
  })
  return startSource((incoming, response) => {
    const path = incoming.url!
    if (path.endsWith('/manifests/v1')) response.writeHead(200, { 'content-type': type }).end(manifest)
    else if (path.endsWith(digestOf(config))) response.end(config)
    else if (path.endsWith(digestOf(LAYERS[0]!))) response.end(LAYERS[0])
    else answer(response)
  })
}

test('of an image with a layer that is wrong, breaks off or cannot be used, nothing stays', async () => {
  const second = LAYERS[1]!
  const zstd = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.alloc(1000)])
  const cases: [
    layer: Buffer,
    answer: (response: import('node:http').ServerResponse) => void,
    reason: RegExp,
  ][] = [
    [
      second,
      response => response.end(Buffer.alloc(second.length)),
      /the bytes received have the digest sha256:/,
    ],
    [second, response => response.socket!.destroy(), /127\.0\.0\.1/],
    [second, response => response.writeHead(404).end('{}'), /HTTP 404/],
    [zstd, response => response.end(zstd), /compressed with zstd: push the image with gzip/],
  ]
  for (const [layer, answer, reason] of cases) {
    const source = await startOddRegistry(layer, answer)
    const server = await startServer({ config: CONFIG })
    const { messages } = await importDocker(server, `repo=${new URL(source.url).host}/app&tag=v1`)
    expect(messages.at(-1)).toMatchObject({
      type: 'error',
      error: { message: expect.stringMatching(reason) },
    })
    expect(await listAll(server)).toEqual([])
    await until('the pieces are gone', () => filesLeft(server).length === 0)
  }
})

test('when the client leaves, the import ends, and nothing of it stays', async () => {
  let waiting = () => {}
  const asked = new Promise<void>(resolve => {
    waiting = resolve
  })
  const second = LAYERS[1]!
  const source = await startOddRegistry(second, response => {
    response.writeHead(200, { 'content-length': second.length })
    response.write(second.subarray(0, 100), () => waiting())
  })
  const server = await startServer({ config: CONFIG })
  const { leave } = beginImport(
    server,
    `action=import-docker-image&repo=${new URL(source.url).host}/app&tag=v1`,
  )
  await asked
  leave()
  await until('the pieces are gone', () => filesLeft(server).length === 0)
  expect(await listAll(server)).toEqual([])
})
