import { spawn } from 'node:child_process'
import { createSign, X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { digestOf } from './layers.ts'
import { endWithTest } from './munge.ts'
import { run } from './run.ts'
import { temporaryFolder } from './server.ts'
import { freePort } from './sshd.ts'
import { until } from './until.ts'

/** A real docker-registry, and a token server before it: repositories below `private/` are for one login. */

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'
const CONFIG = 'application/vnd.oci.image.config.v1+json'
export const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip'
export const ZSTD = 'application/vnd.oci.image.layer.v1.tar+zstd'

export interface PushedLayer {
  bytes: Buffer
  type?: string
}

export interface PushOptions {
  layers: readonly PushedLayer[]
  config?: Record<string, unknown>
  architecture?: string
}

export interface DockerRegistry {
  url: string
  /** Pushes an image; resolves to its digest in hexadecimal. */
  push(repository: string, reference: string, image: PushOptions): Promise<string>
  /** Pushes an index of one image for each platform. */
  pushIndex(repository: string, tag: string, images: readonly PushOptions[]): Promise<string>
}

/** `login`: `user:password`. */
export async function startDockerRegistry(login: string): Promise<DockerRegistry> {
  const folder = temporaryFolder()
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const files = ['-keyout', key, '-out', cert]
  await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=tokens', ...files])
  const sign = signer(readFileSync(cert, 'utf8'), readFileSync(key, 'utf8'))
  const realm = await startTokenServer(sign, login)
  const port = await freePort()
  const config = {
    version: '0.1',
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: join(folder, 'storage') } },
    http: { addr: `127.0.0.1:${port}`, secret: 'test' },
    auth: { token: { realm, service: 'registry', issuer: 'tokens', rootcertbundle: cert } },
  }
  // JSON is YAML too.
  writeFileSync(join(folder, 'config.yml'), JSON.stringify(config))
  const registry = spawn('docker-registry', ['serve', join(folder, 'config.yml')])
  let stderr = ''
  registry.stderr.on('data', chunk => {
    stderr += chunk
  })
  endWithTest(registry)
  const url = `http://127.0.0.1:${port}`
  await until('docker-registry answers', () => {
    if (registry.exitCode !== null) throw new Error(stderr)
    return fetch(`${url}/v2/`).then(
      () => true,
      () => false,
    )
  })
  return pusher(url, repository => `Bearer ${sign(repository, ['pull', 'push'])}`)
}

type Sign = (repository: string, actions: string[]) => string

const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Makes tokens as the distribution project specifies them. */
function signer(cert: string, key: string): Sign {
  const header = { typ: 'JWT', alg: 'RS256', x5c: [new X509Certificate(cert).raw.toString('base64')] }
  return (name, actions) => {
    const seconds = Math.floor(Date.now() / 1000)
    const time = { iat: seconds - 60, nbf: seconds - 60, exp: seconds + 600 }
    const access = [{ type: 'repository', name, actions }]
    const claims = { iss: 'tokens', aud: 'registry', sub: 'test', jti: `${Math.random()}`, ...time, access }
    const text = `${base64(header)}.${base64(claims)}`
    return `${text}.${createSign('RSA-SHA256').update(text).sign(key, 'base64url')}`
  }
}

async function startTokenServer(sign: Sign, login: string): Promise<string> {
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url!, 'http://tokens')
    const [, repository = ''] = /^repository:(.*):pull$/.exec(searchParams.get('scope') ?? '') ?? []
    const shown = request.headers.authorization
    const isKnown = shown === `Basic ${Buffer.from(login).toString('base64')}`
    const isAllowed = !repository.startsWith('private/') || isKnown
    response.writeHead(shown && !isKnown ? 401 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ token: sign(repository, isAllowed ? ['pull'] : []), expires_in: 300 }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`
}

function pusher(url: string, authorize: (repository: string) => string): DockerRegistry {
  const put = async (repository: string, address: string, body: Buffer, type: string) => {
    const headers = { authorization: authorize(repository), 'content-type': type }
    const answer = await fetch(address, { method: 'PUT', headers, body: new Uint8Array(body) })
    expect(answer.status, await answer.text()).toBe(201)
  }
  const pushBlob = async (repository: string, bytes: Buffer, mediaType: string) => {
    const headers = { authorization: authorize(repository) }
    const begun = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST', headers })
    const location = new URL(begun.headers.get('location')!, url)
    location.searchParams.set('digest', digestOf(bytes))
    await put(repository, location.href, bytes, 'application/octet-stream')
    return { mediaType, digest: digestOf(bytes), size: bytes.length }
  }
  const pushManifest = async (repository: string, reference: string, mediaType: string, rest: object) => {
    const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...rest }))
    const name = reference === '' ? digestOf(body) : reference
    await put(repository, `${url}/v2/${repository}/manifests/${name}`, body, mediaType)
    return { mediaType, digest: digestOf(body), size: body.length }
  }
  const pushImage = async (repository: string, reference: string, image: PushOptions) => {
    const settings = {
      architecture: image.architecture ?? 'amd64',
      os: 'linux',
      config: image.config ?? {},
      rootfs: { type: 'layers', diff_ids: [] },
    }
    const config = await pushBlob(repository, Buffer.from(JSON.stringify(settings)), CONFIG)
    const layers = []
    for (const { bytes, type = GZIP } of image.layers) layers.push(await pushBlob(repository, bytes, type))
    return pushManifest(repository, reference, MANIFEST, { config, layers })
  }
  const hex = ({ digest }: { digest: string }) => digest.slice('sha256:'.length)
  return {
    url,
    push: async (repository, reference, image) => hex(await pushImage(repository, reference, image)),
    pushIndex: async (repository, tag, images) => {
      const manifests = []
      for (const image of images) {
        const platform = { os: 'linux', architecture: image.architecture ?? 'amd64' }
        manifests.push({ ...(await pushImage(repository, '', image)), platform })
      }
      return hex(await pushManifest(repository, tag, INDEX, { manifests }))
    },
  }
}
