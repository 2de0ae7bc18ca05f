import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { run } from './run.ts'
import { temporaryFolder } from './server.ts'

/** A registry that does what a test wants: it counts, it asks for a login, it hangs and dies in the middle. */

export interface ScriptedImage {
  /** SHA-256 of its manifest, in hexadecimal. */
  id: string
}

export interface ImageOptions {
  /** Of its one layer. */
  files?: Record<string, string>
  /** Or its layers, from the bottom up. */
  layers?: readonly Buffer[]
  config?: Record<string, unknown>
  /** Login `user:password` without which it is not there. */
  login?: string
}

interface Stored {
  body: Buffer
  type: string
}

export class ScriptedRegistry {
  readonly requests: { path: string; authorization: string | undefined }[] = []
  readonly #blobs = new Map<string, Buffer>()
  readonly #manifests = new Map<string, Stored>()
  readonly #logins = new Map<string, string>()
  /** Called with a path below /v2/; true: it has taken care of the answer. */
  intercept: (path: string, response: ServerResponse, body: Buffer | undefined) => boolean = () => false
  #port = 0
  #scheme = 'http'

  /** With a certificate it speaks HTTPS. */
  async start(tls?: { cert: string; key: string }) {
    const listener: RequestListener = (request, response) => this.#answer(request, response)
    this.#scheme = tls ? 'https' : 'http'
    const server = tls ? createTlsServer(tls, listener) : createServer(listener)
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    this.#port = (server.address() as AddressInfo).port
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    return this
  }

  get url() {
    return `${this.#scheme}://127.0.0.1:${this.#port}`
  }

  /** Sections `Locations` and `DefaultImageLocation` of a gateway that pulls from here. */
  get locations() {
    return {
      DefaultImageLocation: 'here',
      Locations: { here: { remotetype: 'dockerv2', url: this.url } },
    }
  }

  /** Puts an image there, in place of what has its name. */
  async put(
    name: string,
    { files = { 'etc/motd': 'hello\n' }, layers, config = {}, login }: ImageOptions = {},
  ) {
    const [repository, tag] = name.split(':') as [string, string]
    const blobs = layers ?? [await layerOf(files)]
    const settings = {
      architecture: architecture(),
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: [] },
    }
    const type = 'application/vnd.docker.distribution.manifest.v2+json'
    const manifest = {
      schemaVersion: 2,
      mediaType: type,
      config: this.#add(
        Buffer.from(JSON.stringify(settings)),
        'application/vnd.docker.container.image.v1+json',
      ),
      layers: blobs.map(layer => this.#add(layer, 'application/vnd.docker.image.rootfs.diff.tar.gzip')),
    }
    const body = Buffer.from(JSON.stringify(manifest))
    const id = sha256(body)
    for (const reference of [tag, `sha256:${id}`])
      this.#manifests.set(`${repository}/manifests/${reference}`, { body, type })
    if (login) this.#logins.set(repository, login)
    else this.#logins.delete(repository)
    return { id }
  }

  #add(body: Buffer, mediaType: string) {
    const digest = `sha256:${sha256(body)}`
    this.#blobs.set(digest, body)
    return { mediaType, size: body.length, digest }
  }

  #answer(request: IncomingMessage, response: ServerResponse) {
    const path = (request.url ?? '').replace(/^\/v2\//, '')
    const { authorization } = request.headers
    this.requests.push({ path, authorization })
    const [, repository, kind, name] = /^(.*)\/(manifests|blobs)\/([^/]*)$/.exec(path) ?? []
    const manifest = kind === 'manifests' ? this.#manifests.get(path) : undefined
    const body = manifest?.body ?? (kind === 'blobs' ? this.#blobs.get(name!) : undefined)
    if (this.intercept(path, response, body)) return
    const login = this.#logins.get(repository ?? '')
    if (login && authorization !== `Basic ${Buffer.from(login).toString('base64')}`) {
      response.writeHead(401, {
        'www-authenticate': 'Basic realm="registry"',
        'content-type': 'application/json',
      })
      response.end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')
    } else if (!body) {
      response.writeHead(request.url === '/v2/' ? 200 : 404, { 'content-type': 'application/json' })
      response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
    } else {
      response.writeHead(200, {
        'content-type': manifest?.type ?? 'application/octet-stream',
        'content-length': body.length,
        'docker-content-digest': `sha256:${sha256(body)}`,
      })
      response.end(request.method === 'HEAD' ? undefined : body)
    }
  }
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

const architecture = () => ({ x64: 'amd64' })[process.arch as string] ?? process.arch

async function layerOf(files: Record<string, string>): Promise<Buffer> {
  const folder = temporaryFolder()
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, 'tree', name)), { recursive: true })
    writeFileSync(join(folder, 'tree', name), content)
  }
  const made = await run('tar', ['-czf', join(folder, 'layer'), '-C', join(folder, 'tree'), '.'])
  expect(made.code, made.stderr).toBe(0)
  return readFileSync(join(folder, 'layer'))
}
