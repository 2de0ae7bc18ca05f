import type { CertificateFiles } from '../http/certificate.ts'
import type { ConnectionLimit } from '../http/connection-limit.ts'
import { targetPath } from '../http/exchange.ts'
import { OPERATIONS } from '../http/imgapi/index.ts'
import { type Handler, type HttpServer, startServer } from '../http/server.ts'
import type { Gateway, GatewayContext, GatewayKind, OwnPort } from './gateway.ts'
import * as REGISTRY from './registry.ts'

const KINDS: Readonly<Record<string, GatewayKind>> = REGISTRY

export interface GatewayServerOptions {
  /** The server's own address; undefined is every interface. */
  address: string | undefined
  tls: CertificateFiles | undefined
  /** Shared with the server. */
  limit: ConnectionLimit
}

interface Named {
  name: string
  gateway: Gateway
}

/** The gateways that the config asks for, from the start of the server to its end. */
export class Gateways {
  readonly #context: GatewayContext
  readonly #gateways: Named[]
  readonly #servers: (OwnPort & { name: string; server: HttpServer })[] = []

  /** `settings`: what the config has below `gateways`. Throws an error for the operator. */
  constructor(settings: Readonly<Record<string, unknown>>, context: GatewayContext) {
    this.#context = context
    this.#gateways = Object.entries(settings)
      .filter(([, own]) => own !== undefined)
      .map(([name, own]) => ({ name, gateway: KINDS[name]!.open(own, context) }))
    this.#checkPrefixes()
  }

  /** Throws the error of the one that cannot work; those that were started are stopped again. */
  async start() {
    const started: Named[] = []
    for (const one of this.#gateways) {
      await one.gateway.start().catch(async error => {
        await stopAll(started)
        throw new Error(`gateways.${one.name}: ${(error as Error).message}`)
      })
      started.push(one)
    }
  }

  /** Those without a port of their own, before what the server's port answers otherwise. */
  mount(app: Handler): Handler {
    const mounted = this.#mounted()
    if (mounted.length === 0) return app
    return (request, exchange) => {
      const path = targetPath(exchange.incoming)
      const found = mounted.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`))
      return found ? found.gateway.handle(request, exchange) : app(request, exchange)
    }
  }

  /** Rejects if a port cannot be had. */
  async listen(options: GatewayServerOptions) {
    const { log, images, serverName } = this.#context
    for (const { name, gateway } of this.#gateways) {
      const { place, handle } = gateway
      if ('prefix' in place) continue
      const { limit } = options
      const address = place.address ?? options.address
      const tls = place.tls ? options.tls : undefined
      if (place.tls && !tls) throw new Error(`gateways.${name}.tls: the server has no certificate`)
      const { stallTimeout } = images.policy
      const server = await startServer(handle, log, {
        address,
        port: place.port,
        tls,
        stallTimeout,
        serverName,
        limit,
      }).catch(async error => {
        await this.close(0)
        const where = `${address ?? 'all interfaces'}, port ${place.port}`
        throw new Error(`gateways.${name}: cannot listen on ${where}: ${(error as Error).message}`)
      })
      this.#servers.push({ ...place, name, address, server })
    }
  }

  /** Says where each of them is. */
  announce() {
    const { log } = this.#context
    for (const { name, prefix } of this.#mounted()) log.info({ gateway: name }, `${name}: below ${prefix}`)
    for (const { name, address, server } of this.#servers) {
      const { port } = server
      log.info({ gateway: name, port }, `${name}: on ${address ?? 'all interfaces'}, port ${port}`)
    }
  }

  reloadCertificates() {
    for (const { server } of this.#servers) server.reloadCertificate()
  }

  /** Takes no more requests at their ports and resolves when those under way are done, or after `timeout` milliseconds. */
  async close(timeout: number) {
    await Promise.all(this.#servers.splice(0).map(({ server }) => server.close(timeout)))
  }

  async stop() {
    await stopAll(this.#gateways)
  }

  /** By name: `ok`, or what is wrong. */
  async health(): Promise<Record<string, string>> {
    const found = this.#gateways.map(
      async ({ name, gateway }): Promise<[string, string]> => [name, (await gateway.health()) ?? 'ok'],
    )
    return Object.fromEntries(await Promise.all(found))
  }

  #mounted() {
    return this.#gateways.flatMap(({ name, gateway }) =>
      'prefix' in gateway.place ? [{ name, gateway, prefix: gateway.place.prefix }] : [],
    )
  }

  #checkPrefixes() {
    const first = (path: string) => path.split('/')[1]
    const taken = new Map(OPERATIONS.map(({ path }) => [first(path), 'the Image API']))
    for (const { name, prefix } of this.#mounted()) {
      const other = taken.get(first(prefix))
      if (other) throw new Error(`gateways.${name}.prefix: ${prefix} is taken by ${other}`)
      taken.set(first(prefix), name)
    }
  }
}

async function stopAll(gateways: readonly Named[]) {
  for (const { gateway } of gateways) await gateway.stop()
}
