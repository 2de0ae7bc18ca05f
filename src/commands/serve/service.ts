import { Authenticator } from '../../auth/authenticator.ts'
import { KeyRing } from '../../auth/key-ring.ts'
import type { Config } from '../../config/config.ts'
import type { Service } from '../../http/service.ts'
import { fetchImageTask } from '../../imports/jobs/fetch-image.ts'
import { importTask } from '../../imports/jobs/import-chain.ts'
import { uuidOfPartial } from '../../imports/jobs/import-image.ts'
import { Jobs } from '../../imports/jobs/jobs.ts'
import type { Logging } from '../../log.ts'
import { HttpClient } from '../../sources/http-client.ts'
import type { Datadir } from '../../storage/local/datadir.ts'
import { keyFolder } from '../../storage/local/layout.ts'
import { VERSION } from '../../version.ts'
import { createImages, createMirrors } from '../compose.ts'

/** Returns the value of the `Server` header, which is also the user agent of imports. */
export const serverNameOf = ({ serverName }: Pick<Config, 'serverName'>) => serverName ?? `imgapi/${VERSION}`

/** Creates what the operations of the Image API work with; nothing of it runs yet. */
export function createService(config: Config, datadir: Datadir, logging: Logging): Omit<Service, 'gateways'> {
  const { log } = logging
  const images = createImages(config, datadir)
  const auth = createAuthenticator(config, logging)
  const { concurrency, minimumRate: _, ...retry } = config.imports
  const { client, datacenterClient, lxdClient } = createClients(config)
  const mirrors = createMirrors(config, datadir, images, log)
  const isNeeded = (partial: string) => mirrors.isImporting(uuidOfPartial(partial))
  const tasks = {
    'import-remote-image': importTask({ images, client, retry }),
    'import-dc-image': importTask({ images, client: datacenterClient, retry }),
    'fetch-image': fetchImageTask({ images, client, retry }),
  }
  const jobs = new Jobs({ images, tasks, store: datadir.jobs, log, concurrency, isNeeded })
  const datacenters = {
    own: config.datacenterName,
    urls: config.imgapiUrlFromDatacenter,
    client: datacenterClient,
  }
  const lxd = { registries: config.lxdRegistries, client: lxdClient }
  const { publicUrl, accel } = config
  const storageProblem = () => datadir.health.problem
  return {
    ...{ images, auth, jobs, mirrors, client, retry, ...logging, storageProblem },
    ...{ publicUrl, accel, datacenters, lxd },
  }
}

function createAuthenticator(config: Config, { log }: Logging): Authenticator {
  const { mode } = config
  return new Authenticator({
    users: config.userdb,
    keys: new KeyRing(config.authKeys, keyFolder(config.datadir), message => log.warn(message)),
    type: config.authType,
    // In the other modes lists show what the reference shows to callers without credentials, whatever authType says.
    openIsAuthenticated: mode === 'standalone' || mode === 'dc',
    onFailure: (address, user) => log.warn({ address, user }, `failed login from ${address}`),
  })
}

/** Creates the HTTP clients of imports, which differ in the private addresses that they may connect to. */
function createClients(config: Config) {
  const { allowPrivateSources: allowPrivate, lxdRegistries } = config
  const options = {
    stallTimeout: config.stallTimeout * 1000,
    userAgent: serverNameOf(config),
    sources: config.sources,
    minimumRate: config.imports.minimumRate,
  }
  // The operator names these servers too, but their lists may refer to any other server.
  const trusted = new Set(Object.values(lxdRegistries).map(({ url }) => new URL(url).origin))
  return {
    client: new HttpClient({ ...options, allowPrivate }),
    // The operator names the other datacenters, which are on private networks as a rule.
    datacenterClient: new HttpClient({ ...options, allowPrivate: true }),
    lxdClient: new HttpClient({ ...options, allowPrivate, trusted }),
  }
}

/** Stops imports and closes the connections to other servers. */
export async function closeService({ jobs, mirrors, client, datacenters, lxd }: Service) {
  await mirrors.close()
  await jobs.close()
  await client.close()
  await datacenters.client.close()
  await lxd.client.close()
}
