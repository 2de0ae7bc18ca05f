import type { CertificateFiles } from '../http/certificate.ts'
import type { ConnectionLimit } from '../http/connection-limit.ts'
import { targetPath } from '../http/exchange.ts'
import { OPERATIONS } from '../http/imgapi/index.ts'
import { type Handler, type HttpServer, startServer } from '../http/server.ts'
import { OperatorError, prefixed } from '../util/operator-error.ts'
import type { Gateway, GatewayContext, GatewayKind, OwnPort } from './gateway.ts'
import * as REGISTRY from './registry.ts'

const KINDS: Readonly<Record<string, GatewayKind>> = REGISTRY

export interface GatewayServerOptions {
  /** The address of the server; undefined: all interfaces. */
  address: string | undefined
  tls: CertificateFiles | undefined
  /** Shared with the server. */
  limit: ConnectionLimit
}

interface NamedGateway {
  name: string
  gateway: Gateway
}

/** Runs the gateways of the config, from the start of the server to its end. */
export class Gateways {
  readonly #context: GatewayContext
  readonly #gateways: NamedGateway[]
  readonly #servers: (OwnPort & { name: string; server: HttpServer })[] = []

  /** `settings`: the value of `gateways` in the config. Throws OperatorError. */
  constructor(settings: Readonly<Record<string, unknown>>, context: GatewayContext) {
    this.#context = context
    this.#gateways = Object.entries(settings)
      .filter(([, own]) => own !== undefined)
      .map(([name, own]) => ({ name, gateway: KINDS[name]!.open(own, context) }))
    this.#checkPrefixes()
  }

  /** Starts all gateways. If one fails, stops the others and rejects with its error. */
  async start() {
    const started: NamedGateway[] = []
    for (const one of this.#gateways) {
      await one.gateway.start().catch(async error => {
        await stopAll(started)
        throw prefixed(error, `gateways.${one.name}`)
      })
      started.push(one)
    }
  }

  /** Returns a handler that routes requests to the gateways without a port of their own, and all others to `app`. */
  mount(app: Handler): Handler {
    const mounted = this.#mounted()
    if (mounted.length === 0) return app
    return (request, exchange) => {
      const path = targetPath(exchange.incoming)
      const found = mounted.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`))
      return found ? found.gateway.handle(request, exchange) : app(request, exchange)
    }
  }

  /** Listens on the ports of the gateways. Throws OperatorError. */
  async listen(options: GatewayServerOptions) {
    const { log, images, serverName } = this.#context
    for (const { name, gateway } of this.#gateways) {
      const { place, handle } = gateway
      if ('prefix' in place) continue
      const { limit } = options
      const address = place.address ?? options.address
      const tls = place.tls ? options.tls : undefined
      if (place.tls && !tls) throw new OperatorError(`gateways.${name}.tls: the server has no certificate`)
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
        throw prefixed(error, `gateways.${name}: cannot listen on ${where}`)
      })
      this.#servers.push({ ...place, name, address, server })
    }
  }

  /** Logs the port or the path of each gateway. */
  announce() {
    const { log } = this.#context
    for (const { name, prefix } of this.#mounted()) log.info({ gateway: name }, `${name}: below ${prefix}`)
    for (const { name, address, server } of this.#servers) {
      const { port } = server
      log.info({ gateway: name, port }, `${name}: on ${address ?? 'all interfaces'}, port ${port}`)
    }
  }

  /** Reloads the certificate of each port with HTTPS. */
  reloadCertificates() {
    for (const { server } of this.#servers) server.reloadCertificate()
  }

  /** Closes the ports; resolves when running requests are done, or after `timeout` milliseconds. */
  async close(timeout: number) {
    await Promise.all(this.#servers.splice(0).map(({ server }) => server.close(timeout)))
  }

  async stop() {
    await stopAll(this.#gateways)
  }

  /** Resolves to `ok` or a problem, by the name of the gateway. */
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
    const owners = new Map(OPERATIONS.map(({ path }) => [first(path), 'the Image API']))
    for (const { name, prefix } of this.#mounted()) {
      const other = owners.get(first(prefix))
      if (other) throw new OperatorError(`gateways.${name}.prefix: ${prefix} is taken by ${other}`)
      owners.set(first(prefix), name)
    }
  }
}

async function stopAll(gateways: readonly NamedGateway[]) {
  for (const { gateway } of gateways) await gateway.stop()
}
