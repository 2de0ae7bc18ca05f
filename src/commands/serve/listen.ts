import type { Config } from '../../config/config.ts'
import type { Gateways } from '../../gateways/gateways.ts'
import { createApp } from '../../http/app.ts'
import { type HttpServer, startServer } from '../../http/server.ts'
import type { Service } from '../../http/service.ts'
import { prefixed } from '../../util/operator-error.ts'
import { createConnectionLimit, openFilesLimit } from '../descriptors.ts'
import { serverNameOf } from './service.ts'

/** Opens the ports of the Image API and of the gateways. Throws OperatorError; then no port is open. */
export async function listen(
  config: Config,
  service: Service,
  gateways: Gateways,
  address: string | undefined,
): Promise<HttpServer> {
  const { port, tls } = config
  const app = gateways.mount(createApp(service))
  const limit = createConnectionLimit(openFilesLimit(), config.imports.concurrency, service.log)
  const server = await startServer(app, service.log, {
    address,
    port,
    tls,
    stallTimeout: config.stallTimeout * 1000,
    serverName: serverNameOf(config),
    limit,
  }).catch(error => {
    const where = `${address ?? 'all interfaces'}, port ${port}`
    throw prefixed(error, `cannot listen on ${where}`)
  })
  await gateways.listen({ address, tls, limit }).catch(async error => {
    await server.close(0)
    throw error
  })
  return server
}
