import { spawn } from 'node:child_process'
import { createSign, randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { selfSigned } from './certificate.ts'
import { digestOf } from './layers.ts'
import { temporaryFolder } from './server.ts'

/** The real registry, `docker-registry` of Debian, with images that a test puts into it; no Docker is needed. */

export interface TestRegistry {
  /** `127.0.0.1:PORT` */
  host: string
  url: string
  /** What it takes to put something into a repository. */
  headersFor(repository: string): Record<string, string>
}

export const LOGIN = { user: 'alice', password: 'open:sesame' }
/** Of that password, with bcrypt. */
const HASH = '$2y$05$abcdefghijklmnopqrstuubMHTpw5uKdtLGvKw5uzYhbpqtktcY3.'

const basic = ({ user, password }: typeof LOGIN) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

/**
 * `auth`: which clients may read: all; those with the password; or those with a token, which repositories below `private/`
 * are given out for to clients with the password, and others to all.
 */
export async function startRegistry(auth: 'none' | 'basic' | 'token' = 'none'): Promise<TestRegistry> {
  const folder = temporaryFolder()
  const service = 'test-registry'
  let headersFor: TestRegistry['headersFor'] = () => ({})
  let section = ''
  if (auth === 'basic') {
    writeFileSync(join(folder, 'htpasswd'), `${LOGIN.user}:${HASH}\n`)
    section = `auth: {htpasswd: {realm: test, path: ${folder}/htpasswd}}`
    headersFor = () => ({ authorization: basic(LOGIN) })
  }
  if (auth === 'token') {
    const { realm, cert, tokenFor } = await startTokenServer(service)
    section = `auth: {token: {realm: "${realm}", service: ${service}, issuer: test, rootcertbundle: ${cert}}}`
    headersFor = repository => ({ authorization: `Bearer ${tokenFor(repository, ['pull', 'push'])}` })
  }
  const config = join(folder, 'config.yml')
  writeFileSync(
    config,
    `version: 0.1
log: {level: info}
storage: {filesystem: {rootdirectory: ${folder}/store}}
http: {addr: "127.0.0.1:0"}
${section}
`,
  )
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const host = await new Promise<string>((resolve, reject) => {
    let log = ''
    const onText = (chunk: Buffer) => {
      log += chunk
      const [, found] = /listening on (127\.0\.0\.1:\d+)/.exec(log) ?? []
      if (found) resolve(found)
    }
    child.stdout.on('data', onText)
    child.stderr.on('data', onText)
    child.on('error', reject)
    child.on('exit', () => reject(new Error(`docker-registry ended: ${log}`)))
  })
  return { host, url: `http://${host}`, headersFor }
}

async function startTokenServer(service: string) {
  const { cert, key } = selfSigned()
  const chain = readFileSync(cert, 'latin1').replace(/-----[A-Z ]+-----|\s/g, '')
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const tokenFor = (name: string, actions: string[]) => {
    const now = Math.floor(Date.now() / 1000)
    const head = part({ typ: 'JWT', alg: 'RS256', x5c: [chain] })
    const times = { exp: now + 300, nbf: now - 10, iat: now }
    const access = actions.length > 0 ? [{ type: 'repository', name, actions }] : []
    const body = part({ iss: 'test', sub: 'somebody', aud: service, ...times, jti: randomUUID(), access })
    const signature = createSign('RSA-SHA256').update(`${head}.${body}`).sign(readFileSync(key))
    return `${head}.${body}.${signature.toString('base64url')}`
  }
  const server = createServer((request, response) => {
    const query = new URL(request.url!, 'http://x').searchParams
    const [, name = ''] = /^repository:(.*):/.exec(query.get('scope') ?? '') ?? []
    const { authorization } = request.headers
    if (authorization !== undefined && authorization !== basic(LOGIN)) {
      response.writeHead(401).end('{}')
      return
    }
    const isAllowed = authorization !== undefined || !name.startsWith('private/')
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ token: tokenFor(name, isAllowed ? ['pull'] : []), expires_in: 300 }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
  })
  return { realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, cert, tokenFor }
}

const TYPES = {
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
  },
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
    index: 'application/vnd.oci.image.index.v1+json',
  },
}

export interface PushedImage {
  /** Of the manifest. */
  digest: string
  size: number
  configDigest: string
  layers: string[]
}

export const CONFIG = {
  created: '2026-01-02T03:04:05Z',
  architecture: 'amd64',
  os: 'linux',
  config: { Env: ['PATH=/bin'], Cmd: ['sh'], Entrypoint: null, WorkingDir: '/data' },
}

/** Puts an image into the registry; `reference`: a tag, or nothing for one that only an index leads to. */
export async function push(
  registry: TestRegistry,
  repository: string,
  reference: string | undefined,
  layers: readonly Buffer[],
  { config = CONFIG, kind = 'docker' }: { config?: object; kind?: keyof typeof TYPES } = {},
): Promise<PushedImage> {
  const types = TYPES[kind]
  const configBytes = Buffer.from(JSON.stringify(config))
  for (const bytes of [configBytes, ...layers]) await pushBlob(registry, repository, bytes)
  const descriptor = (mediaType: string, bytes: Buffer) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  })
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: descriptor(types.config, configBytes),
    layers: layers.map(bytes => descriptor(types.layer, bytes)),
  })
  const digest = digestOf(manifest)
  await pushManifest(registry, repository, reference ?? digest, manifest, types.manifest)
  return {
    digest,
    size: Buffer.byteLength(manifest),
    configDigest: digestOf(configBytes),
    layers: layers.map(digestOf),
  }
}

/** Puts an index of images for several platforms into the registry. */
export async function pushIndex(
  registry: TestRegistry,
  repository: string,
  tag: string,
  images: { image: PushedImage; architecture: string; os?: string }[],
  kind: keyof typeof TYPES = 'oci',
): Promise<string> {
  const types = TYPES[kind]
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: types.index,
    manifests: images.map(({ image: { digest, size }, architecture, os = 'linux' }) => ({
      ...{ mediaType: types.manifest, digest, size },
      platform: { architecture, os },
    })),
  })
  await pushManifest(registry, repository, tag, index, types.index)
  return digestOf(index)
}

async function pushBlob({ url, headersFor }: TestRegistry, repository: string, bytes: Buffer) {
  const headers = headersFor(repository)
  const begun = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST', headers })
  const target = new URL(begun.headers.get('location') ?? '', url)
  target.searchParams.set('digest', digestOf(bytes))
  const type = { 'content-type': 'application/octet-stream' }
  await expectOk(
    await fetch(target, { method: 'PUT', headers: { ...headers, ...type }, body: new Uint8Array(bytes) }),
  )
}

async function pushManifest(
  { url, headersFor }: TestRegistry,
  repository: string,
  reference: string,
  body: string,
  type: string,
) {
  const target = `${url}/v2/${repository}/manifests/${reference}`
  await expectOk(
    await fetch(target, {
      method: 'PUT',
      headers: { ...headersFor(repository), 'content-type': type },
      body,
    }),
  )
}

async function expectOk(answer: Response) {
  if (!answer.ok) throw new Error(`${answer.url}: ${answer.status} ${await answer.text()}`)
}
