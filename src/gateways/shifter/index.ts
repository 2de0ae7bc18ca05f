import { mkdirSync } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { Handler } from '../../http/server.ts'
import { KeyedMutex } from '../../util/keyed-mutex.ts'
import { isLoopback } from '../../util/loopback.ts'
import { OperatorError } from '../../util/operator-error.ts'
import { defineGateway, type Gateway, type GatewayContext } from '../gateway.ts'
import { Groups } from './access.ts'
import { createShifterApp } from './app.ts'
import { ShifterConfig } from './config.ts'
import type { ShifterContext } from './context.ts'
import type { PlatformSettings } from './imagemanager.ts'
import { type ImageManager, readImageManager } from './imagemanager.ts'
import { Lanes } from './lanes.ts'
import { LocalPlatform } from './local-platform.ts'
import { Metrics } from './metrics.ts'
import { authenticateMunge } from './munge.ts'
import { Records } from './records.ts'
import { openRegistries } from './registries.ts'
import { RemotePlatform } from './remote-platform.ts'
import { Requests } from './requests.ts'
import { authenticateMock } from './session.ts'
import { WorkQueue } from './work-queue.ts'

/** The API of the Shifter Image Gateway, which converts images of registries to files that clusters mount. */
export const shifter = defineGateway(ShifterConfig, (settings, context): Gateway => {
  const { port, tls } = settings
  const config = readImageManager(settings.config, context.resolve)
  const address = addressFor(settings, config)
  let started: { handle: Handler; stop(): Promise<void> } | undefined
  return {
    place: { port, address, tls },
    handle: (request, exchange) => started!.handle(request, exchange),
    start: async () => {
      started = await start(settings, config, context)
    },
    stop: async () => started?.stop(),
    health: () => problemOf(config),
  }
})

async function start(settings: ShifterConfig, config: ImageManager, gateway: GatewayContext) {
  const context = createShifterContext(settings, config, gateway)
  const work = new WorkQueue(context)
  await work.start()
  return {
    handle: createShifterApp(context, new Requests(context, work)),
    stop: async () => {
      await work.close()
      await context.registries.close()
    },
  }
}

/**
 * Returns the address to listen on; undefined is that of the server. Throws for mock authentication on an address
 * that is not loopback.
 */
function addressFor({ address }: ShifterConfig, { Authentication }: ImageManager): string | undefined {
  if (Authentication !== 'mock') return address
  if (address === undefined || isLoopback(address)) return address ?? '127.0.0.1'
  throw new OperatorError(
    `Authentication "mock" verifies no credentials: ${address} is not a loopback address`,
  )
}

function createShifterContext(
  { cacheSize, retryAfter, labels, writeAcl, minimumRate, pullTimeout }: ShifterConfig,
  config: ImageManager,
  context: GatewayContext,
): ShifterContext {
  const log = context.log.child({ gateway: 'shifter' })
  if (config.LogLevel) log.level = config.LogLevel
  const folder = join(context.datadir, '.shifter')
  const expand = config.ExpandDirectory ?? join(folder, 'expand')
  // The cache evicts any file in its folder, so the folder must be its own.
  const cache = join(config.CacheDirectory ?? folder, 'blobs')
  for (const path of [folder, expand, cache]) mkdirSync(path, { recursive: true, mode: 0o700 })
  const records = new Records(join(folder, 'records'))
  for (const path of records.unreadable) log.error(`${path} is not a valid image record`)
  const { stallTimeout } = context.images.policy
  const { Platforms, Authentication } = config
  return {
    config,
    records,
    platforms: new Map(Object.entries(Platforms).map(([name, platform]) => [name, openPlatform(platform)])),
    registries: openRegistries({
      config,
      cache,
      cacheSize,
      stallTimeout,
      minimumRate,
      userAgent: context.serverName,
      retry: context.retry,
    }),
    groups: new Groups(),
    metrics: config.Metrics ? new Metrics(join(folder, 'metrics.jsonl')) : undefined,
    authenticate: Authentication === 'mock' ? authenticateMock : authenticateMunge(config),
    log,
    expand,
    mutex: new KeyedMutex(),
    lanes: new Lanes(config.WorkerThreads, pullTimeout),
    retryAfter,
    withLabels: labels ?? Boolean(process.env.ENABLE_LABELS),
    withAcl: writeAcl ?? !process.env.DISABLE_ACL_METADATA,
  }
}

const openPlatform = (settings: PlatformSettings) =>
  settings.accesstype === 'local' ? new LocalPlatform(settings) : new RemotePlatform(settings)

/** Returns a message for the first folder or socket of a system that does not exist. */
async function problemOf({ Platforms, Authentication }: ImageManager): Promise<string | undefined> {
  const needed = Object.values(Platforms).flatMap(platform => [
    ...(platform.accesstype === 'local' ? [platform.local.imageDir] : []),
    ...(Authentication === 'munge' ? [platform.mungeSocketPath!] : []),
  ])
  for (const path of needed) {
    try {
      await access(path)
    } catch {
      return `${path} does not exist`
    }
  }
  return undefined
}
