import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { expect, onTestFinished } from 'vitest'
import { HttpClient } from '../../../src/sources/http-client.ts'
import { RegistryClient } from '../../../src/sources/registry/registry-client.ts'
import { digestOf, layerOf } from '../../support/layers.ts'
import { needsAll } from '../../support/programs.ts'
import { CONFIG, LOGIN, push, pushIndex, startRegistry, type TestRegistry } from '../../support/registry.ts'

/** Our client and the real registry. */

const test = needsAll({ 'docker-registry': 'docker-registry', openssl: 'openssl' })

const { signal } = new AbortController()
const AMD64 = { platform: { os: 'linux', architecture: 'amd64' }, signal }
const RETRY = { retries: 3, firstDelay: 10, longestDelay: 20 }

function clientOf(url: string, credentials?: { user: string; password: string }): RegistryClient {
  const client = new HttpClient({ allowPrivate: true, stallTimeout: 10_000, userAgent: 'test', sources: [] })
  onTestFinished(() => client.close())
  return new RegistryClient({ client, url: new URL(url), credentials, retry: RETRY })
}

const LAYERS = [
  layerOf({ name: 'first', content: 'first' }),
  layerOf({ name: 'second', content: 'x'.repeat(300_000) }),
]

test('an image is found by its tag and by its digest, and its blobs are those that were put there', async () => {
  const registry = await startRegistry()
  for (const kind of ['docker', 'oci'] as const) {
    const pushed = await push(registry, 'some/app', kind, LAYERS, { kind })
    const client = clientOf(registry.url)
    for (const reference of [kind, pushed.digest]) {
      const found = await client.resolve('some/app', reference, AMD64)
      expect(found).toMatchObject({
        digest: pushed.digest,
        manifestDigest: pushed.digest,
        configDigest: pushed.configDigest,
        config: CONFIG,
        isPrivate: false,
      })
      expect(found.layers.map(({ digest }) => digest)).toEqual(pushed.layers)
      for (const [index, layer] of found.layers.entries()) {
        const bytes = await buffer(client.blob('some/app', layer, 0, signal))
        expect(bytes.equals(LAYERS[index]!)).toBe(true)
        const rest = await buffer(client.blob('some/app', layer, 10, signal))
        expect(rest.equals(LAYERS[index]!.subarray(10))).toBe(true)
      }
    }
  }
})

test('of an index the image for the platform is taken; without one the error names those that are there', async () => {
  const registry = await startRegistry()
  for (const kind of ['docker', 'oci'] as const) {
    const arm = await push(registry, 'app', undefined, LAYERS.slice(0, 1), {
      kind,
      config: { architecture: 'arm64' },
    })
    const amd = await push(registry, 'app', undefined, LAYERS, { kind })
    const digest = await pushIndex(
      registry,
      'app',
      kind,
      [
        { image: arm, architecture: 'arm64' },
        { image: arm, architecture: 'unknown', os: 'unknown' },
        { image: amd, architecture: 'amd64' },
      ],
      kind,
    )
    const client = clientOf(registry.url)
    expect(await client.resolve('app', kind, AMD64)).toMatchObject({ digest, manifestDigest: amd.digest })
    const s390 = { platform: { os: 'linux', architecture: 's390x' }, signal }
    await expect(client.resolve('app', kind, s390)).rejects.toThrow(
      /^no linux-s390x platform found in manifest list: linux-arm64, linux-amd64$/,
    )
  }
})

test('what is not there is not found', async () => {
  const registry = await startRegistry()
  await push(registry, 'app', 'v1', LAYERS)
  const client = clientOf(registry.url)
  for (const [repository, reference] of [
    ['app', 'v2'],
    ['other', 'v1'],
    ['app', digestOf('x')],
  ] as const) {
    const asked = client.resolve(repository, reference, AMD64)
    await expect(asked).rejects.toMatchObject({
      status: 404,
      message: expect.stringMatching(/no such image/),
    })
  }
})

for (const auth of ['basic', 'token'] as const) {
  test(`a private image behind ${auth} needs credentials, and is said to be private`, async () => {
    const registry = await startRegistry(auth)
    await push(registry, 'private/app', 'v1', LAYERS)
    const found = await clientOf(registry.url, LOGIN).resolve('private/app', 'v1', AMD64)
    expect(found.isPrivate).toBe(true)
    const blob = clientOf(registry.url, LOGIN).blob('private/app', found.layers[1]!, 0, signal)
    expect((await buffer(blob)).equals(LAYERS[1]!)).toBe(true)
    await expect(clientOf(registry.url).resolve('private/app', 'v1', AMD64)).rejects.toThrow(
      /authentication required/,
    )
    const wrong = clientOf(registry.url, { ...LOGIN, password: 'wrong' })
    await expect(wrong.resolve('private/app', 'v1', AMD64)).rejects.toThrow(/authentication failed: .*alice/)
  })
}

/** A front that does what a test tells it, and otherwise asks the registry. */
async function startFront(
  registry: TestRegistry,
  handle: (
    path: string,
    response: import('node:http').ServerResponse,
    headers: import('node:http').IncomingHttpHeaders,
  ) => boolean,
): Promise<string> {
  const server: Server = createServer((incoming, outgoing) => {
    if (handle(incoming.url!, outgoing, incoming.headers)) return
    const asked = request(registry.url + incoming.url, { headers: incoming.headers }, answer => {
      outgoing.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(outgoing)
    })
    asked.end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('a blob that breaks off in the middle goes on from there', async () => {
  const registry = await startRegistry()
  await push(registry, 'app', 'v1', LAYERS)
  const ranges: (string | undefined)[] = []
  const layer = LAYERS[1]!
  const front = await startFront(registry, (path, response, { range }) => {
    if (!path.includes(digestOf(layer))) return false
    ranges.push(range)
    if (ranges.length > 1) return false
    response.writeHead(200, { 'content-length': layer.length })
    response.write(layer.subarray(0, 100), () => response.destroy())
    return true
  })
  const client = clientOf(front)
  const { layers } = await client.resolve('app', 'v1', AMD64)
  expect((await buffer(client.blob('app', layers[1]!, 0, signal))).equals(layer)).toBe(true)
  expect(ranges).toEqual([undefined, 'bytes=100-'])
})

/** Starts a front that redirects requests for the first layer to another server. Resolves to its URL. */
const startRedirect = (registry: Parameters<typeof startFront>[0], elsewhere: string) =>
  startFront(registry, (path, response) => {
    if (!path.includes(digestOf(LAYERS[0]!))) return false
    response.writeHead(307, { location: `${elsewhere}/signed` }).end()
    return true
  })

test('where a registry sends us to does not see what we showed the registry', async () => {
  const registry = await startRegistry('basic')
  await push(registry, 'app', 'v1', LAYERS)
  const seen: (string | undefined)[] = []
  const elsewhere = await startFront(registry, (_path, response, { authorization }) => {
    seen.push(authorization)
    response.writeHead(200, { 'content-length': LAYERS[0]!.length }).end(LAYERS[0])
    return true
  })
  const front = await startRedirect(registry, elsewhere)
  const client = clientOf(front, LOGIN)
  const { layers } = await client.resolve('app', 'v1', AMD64)
  expect((await buffer(client.blob('app', layers[0]!, 0, signal))).equals(LAYERS[0]!)).toBe(true)
  expect(seen).toEqual([undefined])
})

test('where a registry sends us to cannot ask for the password', async () => {
  const registry = await startRegistry()
  await push(registry, 'app', 'v1', LAYERS)
  const seen: string[] = []
  const elsewhere = await startFront(registry, (path, response) => {
    seen.push(path)
    const realm = `http://${response.req.headers.host}/token`
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end()
    return true
  })
  const front = await startRedirect(registry, elsewhere)
  const client = clientOf(front, LOGIN)
  const { layers } = await client.resolve('app', 'v1', AMD64)
  await expect(buffer(client.blob('app', layers[0]!, 0, signal))).rejects.toThrow(/HTTP 401/)
  expect(seen).toEqual(['/signed'])
})

test('a manifest or a config with other bytes than its digest says is refused', async () => {
  const registry = await startRegistry()
  const { digest, configDigest } = await push(registry, 'app', 'v1', LAYERS)
  for (const wrong of [`/manifests/${digest}`, `/blobs/${configDigest}`]) {
    const front = await startFront(registry, (path, response) => {
      if (!path.endsWith(wrong)) return false
      response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }).end('{}')
      return true
    })
    await expect(clientOf(front).resolve('app', digest, AMD64)).rejects.toThrow(/the registry sent/)
  }
})

test('manifests of the first kind, and what is none, are refused with the reason', async () => {
  const registry = await startRegistry()
  const cases: [type: string, body: string, reason: RegExp][] = [
    [
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      '{"schemaVersion":1}',
      /which is not supported/,
    ],
    ['application/vnd.oci.image.manifest.v1+json', '<html>', /is not JSON/],
    ['application/vnd.oci.image.manifest.v1+json', '{"layers":[]}', /not valid: config/],
    [
      'application/vnd.oci.image.manifest.v1+json',
      JSON.stringify({ config: { mediaType: 'x', digest: digestOf('{}'), size: 2 }, layers: [] }),
      /not valid: layers: an image has at least one/,
    ],
  ]
  for (const [type, body, reason] of cases) {
    const front = await startFront(registry, (_path, response) => {
      response.writeHead(200, { 'content-type': type }).end(body)
      return true
    })
    await expect(clientOf(front).resolve('app', 'v1', AMD64)).rejects.toThrow(reason)
  }
})

test('a manifest or a config that does not end is not read to its end', async () => {
  const registry = await startRegistry()
  const { configDigest } = await push(registry, 'app', 'v1', LAYERS)
  for (const endless of ['/manifests/v1', `/blobs/${configDigest}`]) {
    let asked = 0
    const front = await startFront(registry, (path, response) => {
      if (!path.endsWith(endless)) return false
      asked++
      response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' })
      // One byte more than the limit, and then nothing: the client leaves, or waits in vain.
      response.write(Buffer.alloc(4 * 1024 * 1024 + 1, ' '))
      return true
    })
    await expect(clientOf(front).resolve('app', 'v1', AMD64)).rejects.toThrow(
      /answers with more than \d+ bytes/,
    )
    expect(asked).toBe(1)
  }
})
