import { dirname, resolve } from 'node:path'
import type { Logger } from 'pino'
import { type Config, readConfig } from '../config/config.ts'
import { Gateways } from '../gateways/gateways.ts'
import { readCertificate } from '../http/certificate.ts'
import type { HttpServer } from '../http/server.ts'
import type { Service } from '../http/service.ts'
import { createLog, type Logging } from '../log.ts'
import { type Datadir, openDatadir } from '../storage/local/datadir.ts'
import { command, configArg } from './command.ts'
import { createDropFolder } from './compose.ts'
import { addressToBind } from './serve/address.ts'
import { announce } from './serve/announce.ts'
import { listen } from './serve/listen.ts'
import { closeService, createService, serverNameOf } from './serve/service.ts'
import { reloadSignal, stopSignal } from './serve/signals.ts'

export const serve = command({
  meta: { name: 'serve', description: 'Run the server' },
  args: { config: configArg },
  examples: ['imgapi serve -c /opt/local/etc/imgapid/configuration.json', 'imgapi -s -c config.json'],
  run: ({ config }) => runServer(config),
})

/** Composes the server, runs it until a signal, and closes its parts in order. Throws OperatorError. */
async function runServer(configPath: string) {
  const config = readConfig(configPath)
  // Before the data directory is opened.
  if (config.tls) readCertificate(config.tls)
  const logging = createLog(config.logLevel)
  const { log } = logging
  // Handlers come first: a signal during the start must not end the process without closing the data directory.
  const stop = stopSignal(log)
  const onReload = reloadSignal()
  const datadir = await openDatadir(config.datadir)
  logHealth(datadir, log)
  const { service, gateways } = await startService(config, configPath, datadir, logging)
  const address = addressToBind(config)
  const server = await listen(config, service, gateways, address).catch(async error => {
    await stopService(service, gateways, datadir)
    throw error
  })
  onReload(() => reload(configPath, service, server, gateways))
  announce(config, datadir, log, { address, port: server.port })
  service.mirrors.start()
  const dropFolder = createDropFolder(config, service.images, log)
  dropFolder.start()
  gateways.announce()
  await stop
  const timeout = config.shutdownTimeout * 1000
  await Promise.all([server.close(timeout), gateways.close(timeout)])
  await dropFolder.close()
  await stopService(service, gateways, datadir)
  log.info('stopped')
}

function logHealth({ health }: Datadir, log: Logger) {
  health.onChange = problem => {
    if (problem === undefined) log.info('the data directory takes writes again')
    else log.error(`the data directory does not take writes: ${problem}`)
  }
}

/** Creates the service and its gateways and starts both. Throws OperatorError, with the data directory closed. */
async function startService(config: Config, configPath: string, datadir: Datadir, logging: Logging) {
  try {
    const parts = createService(config, datadir, logging)
    await parts.mirrors.load()
    const gateways = createGateways(config, configPath, parts)
    const service: Service = { ...parts, gateways: () => gateways.health() }
    await service.jobs.start()
    await gateways.start().catch(async error => {
      await service.jobs.close()
      throw error
    })
    return { service, gateways }
  } catch (error) {
    await datadir.close()
    throw error
  }
}

/** Throws OperatorError for a gateway whose settings cannot be used. */
function createGateways(config: Config, configPath: string, service: Omit<Service, 'gateways'>): Gateways {
  return new Gateways(config.gateways, {
    ...service,
    serverName: serverNameOf(config),
    datadir: config.datadir,
    resolve: path => resolve(dirname(configPath), path),
  })
}

/** Stops what writes to the data directory before closing it. */
async function stopService(service: Service, gateways: Gateways, datadir: Datadir) {
  await gateways.stop()
  await closeService(service)
  await datadir.close()
}

/** Reloads users with their keys, log level and certificate on SIGHUP; an invalid config changes nothing. */
function reload(configPath: string, { auth, log }: Service, server: HttpServer, gateways: Gateways) {
  try {
    const config = readConfig(configPath)
    server.reloadCertificate()
    gateways.reloadCertificates()
    auth.setUsers(config.userdb, config.authKeys)
    log.level = config.logLevel
    log.info('config reloaded: users, log level and certificate')
  } catch (error) {
    log.error(`config not reloaded: ${(error as Error).message}`)
  }
}
