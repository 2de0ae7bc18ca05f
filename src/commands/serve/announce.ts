import type { Logger } from 'pino'
import type { Config } from '../../config/config.ts'
import type { Datadir } from '../../storage/local/datadir.ts'
import { exposureWarnings } from './exposure.ts'

/** Logs where the server listens, what is wrong with the data directory, and which settings are unsafe there. */
export function announce(
  config: Config,
  datadir: Datadir,
  log: Logger,
  { address, port }: { address: string | undefined; port: number },
) {
  for (const problem of datadir.problems) log.error(problem)
  log.info(
    { address: address ?? 'all', port, datadir: config.datadir, images: datadir.count },
    `listening on ${address ?? 'all interfaces'}, port ${port}; ${datadir.count} images in ${config.datadir}`,
  )
  log.info(`on a SmartOS host: imgadm sources -a ${urlForClients(config, port)}`)
  for (const warning of exposureWarnings(config, address)) log.warn(warning)
}

function urlForClients({ tls, host }: Config, port: number): string {
  return `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`
}
