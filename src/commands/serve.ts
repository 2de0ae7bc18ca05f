import { networkInterfaces } from 'node:os'
import { dirname, resolve } from 'node:path'
import type { Logger } from 'pino'
import { Authenticator } from '../auth/authenticator.ts'
import { KeyRing } from '../auth/key-ring.ts'
import { type Config, readConfig } from '../config/config.ts'
import type { GatewayContext } from '../gateways/gateway.ts'
import { Gateways } from '../gateways/gateways.ts'
import { createApp } from '../http/app.ts'
import { readCertificate } from '../http/certificate.ts'
import { type HttpServer, startServer } from '../http/server.ts'
import type { Service } from '../http/service.ts'
import { fetchImageTask } from '../imports/jobs/fetch-image.ts'
import { importTask } from '../imports/jobs/import-chain.ts'
import { uuidOfPartial } from '../imports/jobs/import-image.ts'
import { Jobs } from '../imports/jobs/jobs.ts'
import { createLog, type Logging } from '../log.ts'
import { HttpClient } from '../sources/http-client.ts'
import { type Datadir, openDatadir } from '../storage/local/datadir.ts'
import { keyFolder } from '../storage/local/layout.ts'
import { VERSION } from '../version.ts'
import { command, configArg, FailedError } from './command.ts'
import { createDropFolder, createImages, createMirrors } from './compose.ts'
import { createConnectionLimit, openFilesLimit } from './descriptors.ts'

export const serve = command({
  meta: { name: 'serve', description: 'Run the server' },
  args: { config: configArg },
  examples: ['imgapi serve -c /opt/local/etc/imgapid/configuration.json', 'imgapi -s -c config.json'],
  run: ({ config }) => runServer(config),
})

/** The password of the example config, which everybody knows. */
const EXAMPLE_PASSWORD = 'secret'

const loopback = (address: string) => address === '::1' || address.startsWith('127.')

/** `host` may be a name that only clients know; it is bound if it is an address of this machine. */
function addressToBind({ address, host }: Config): string | undefined {
  if (address !== undefined) return address
  if (host === 'localhost') return '127.0.0.1'
  const own = Object.values(networkInterfaces()).flatMap(list => list ?? [])
  return own.some(candidate => candidate.address === host) || loopback(host) ? host : undefined
}

/** Composes the server out of its parts, runs it until a signal, and takes it apart again in order. */
async function runServer(configPath: string) {
  const config = readConfig(configPath)
  checkCertificate(config)
  const logging = createLog(config.logLevel)
  const { log } = logging
  // A signal that comes before the end of the start must not end the process either.
  const stop = stopSignal(log)
  let reloadNow = () => {}
  process.on('SIGHUP', () => reloadNow())
  const datadir = await openDatadir(config.datadir).catch(error => {
    throw new FailedError((error as Error).message)
  })
  datadir.health.onChange = problem => {
    if (problem === undefined) log.info('the data directory takes writes again')
    else log.error(`the data directory does not take writes: ${problem}`)
  }
  const { service, gateways } = await compose(config, configPath, datadir, logging)
  const address = addressToBind(config)
  const server = await listen(config, service, gateways, address).catch(async error => {
    await stopService(service, gateways, datadir)
    throw new FailedError((error as Error).message)
  })
  reloadNow = () => reload(configPath, service, server, gateways)
  announce(config, datadir, log, address, server.port)
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

/** Lets go of the data directory if the rest of the server cannot be made. Throws FailedError. */
async function compose(config: Config, configPath: string, datadir: Datadir, logging: Logging) {
  try {
    const parts = createService(config, datadir, logging)
    await parts.mirrors.load().catch(error => {
      throw new FailedError((error as Error).message)
    })
    const resolvePath = (path: string) => resolve(dirname(configPath), path)
    const context = {
      ...parts,
      serverName: serverNameOf(config),
      datadir: config.datadir,
      resolve: resolvePath,
    }
    const gateways = openGateways(config, context)
    const service: Service = { ...parts, gateways: () => gateways.health() }
    await service.jobs.start()
    await gateways.start().catch(async error => {
      await service.jobs.close()
      throw new FailedError((error as Error).message)
    })
    return { service, gateways }
  } catch (error) {
    await datadir.close()
    throw error
  }
}

/** Throws FailedError. */
function openGateways({ gateways }: Config, context: GatewayContext): Gateways {
  try {
    return new Gateways(gateways, context)
  } catch (error) {
    throw new FailedError((error as Error).message)
  }
}

/** Before anything is touched. Throws FailedError. */
function checkCertificate({ tls }: Config) {
  try {
    if (tls) readCertificate(tls)
  } catch (error) {
    throw new FailedError((error as Error).message)
  }
}

const serverNameOf = ({ serverName }: Config) => serverName ?? `imgapi/${VERSION}`

function createService(config: Config, datadir: Datadir, logging: Logging): Omit<Service, 'gateways'> {
  const { mode } = config
  const { log } = logging
  const images = createImages(config, datadir)
  const auth = new Authenticator({
    users: config.userdb,
    keys: new KeyRing(config.authKeys, keyFolder(config.datadir), message => log.warn(message)),
    type: config.authType,
    // The reference knows nobody without credentials, so its lists stay as they are for strangers.
    openIsAuthenticated: mode === 'standalone' || mode === 'dc',
    onFailure: (address, user) => log.warn({ address, user }, `failed login from ${address}`),
  })
  const { concurrency, minimumRate, ...retry } = config.imports
  const clientOptions = {
    stallTimeout: config.stallTimeout * 1000,
    userAgent: serverNameOf(config),
    sources: config.sources,
    minimumRate,
  }
  const client = new HttpClient({ ...clientOptions, allowPrivate: config.allowPrivateSources })
  // The operator has said where these are, which is on a private network as a rule.
  const datacenterClient = new HttpClient({ ...clientOptions, allowPrivate: true })
  const { lxdRegistries, allowPrivateSources: allowPrivate } = config
  // These are named by the operator too, but their lists may lead anywhere.
  const trusted = new Set(Object.values(lxdRegistries).map(({ url }) => new URL(url).origin))
  const lxd = {
    registries: lxdRegistries,
    client: new HttpClient({ ...clientOptions, allowPrivate, trusted }),
  }
  const mirrors = createMirrors(config, datadir, images, log)
  const keeps = (partial: string) => mirrors.isImporting(uuidOfPartial(partial))
  const tasks = {
    'import-remote-image': importTask({ images, client, retry }),
    'import-dc-image': importTask({ images, client: datacenterClient, retry }),
    'fetch-image': fetchImageTask({ images, client, retry }),
  }
  const jobs = new Jobs({ images, tasks, store: datadir.jobs, log, concurrency, keeps })
  const datacenters = {
    own: config.datacenterName,
    urls: config.imgapiUrlFromDatacenter,
    client: datacenterClient,
  }
  const { publicUrl, accel } = config
  const storageProblem = () => datadir.health.problem
  return {
    ...{ images, auth, jobs, mirrors, client, retry, ...logging, storageProblem },
    ...{ publicUrl, accel, datacenters, lxd },
  }
}

/** The storage goes last: what is being imported still writes to it. */
async function stopService(
  { jobs, mirrors, client, datacenters, lxd }: Service,
  gateways: Gateways,
  datadir: Datadir,
) {
  await gateways.stop()
  await mirrors.close()
  await jobs.close()
  await client.close()
  await datacenters.client.close()
  await lxd.client.close()
  await datadir.close()
}

/** Throws an error for the operator, and then nothing listens. */
async function listen(config: Config, service: Service, gateways: Gateways, address: string | undefined) {
  const { port, tls } = config
  const app = gateways.mount(createApp(service))
  const stallTimeout = config.stallTimeout * 1000
  const limit = createConnectionLimit(openFilesLimit(), config.imports.concurrency, service.log)
  const server = await startServer(app, service.log, {
    address,
    port,
    tls,
    stallTimeout,
    serverName: serverNameOf(config),
    limit,
  }).catch(error => {
    const where = `${address ?? 'all interfaces'}, port ${port}`
    throw new Error(`cannot listen on ${where}: ${(error as Error).message}`)
  })
  await gateways.listen({ address, tls, limit }).catch(async error => {
    await server.close(0)
    throw error
  })
  return server
}

function announce(config: Config, datadir: Datadir, log: Logger, address: string | undefined, port: number) {
  for (const problem of datadir.problems) log.error(problem)
  const scheme = config.tls ? 'https' : 'http'
  const url = `${scheme}://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`
  log.info(
    { address: address ?? 'all', port, datadir: config.datadir, images: datadir.count },
    `listening on ${address ?? 'all interfaces'}, port ${port}; ${datadir.count} images in ${config.datadir}`,
  )
  log.info(`on a SmartOS host: imgadm sources -a ${url}`)
  const isExposed = address === undefined || !loopback(address)
  if (isExposed && config.authType === 'none') {
    log.warn('authType is "none" and others can reach this server: everybody may change and delete images')
  }
  if (isExposed && config.accel) {
    log.warn(
      'accel is set and others can reach this server past its front: the files that they get are empty',
    )
  }
  if (isExposed && config.userdb.some(user => user.password === EXAMPLE_PASSWORD)) {
    log.warn(
      'a user has the password of the example config and others can reach this server: choose another, hash it with `imgapi passwd`, and put the hash into userdb',
    )
  }
}

/** SIGHUP: users with their keys, log level and certificate are read again; a config that is wrong changes nothing. */
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

/** Resolves at the first signal; a second one does not wait for anything. */
function stopSignal(log: Logger): Promise<void> {
  return new Promise(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        log.info(`${signal}: finishing what is under way; once more to stop at once`)
        process.once(signal, () => process.exit(1))
        resolve()
      })
    }
  })
}
