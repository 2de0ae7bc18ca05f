import type { Logger } from 'pino'
import { v4 } from 'uuid'
import type { Config } from '../config/config.ts'
import type { Images } from '../images/images.ts'
import { DropFolder } from '../imports/drop-folder/drop-folder.ts'
import { Mirrors } from '../imports/mirror/mirrors.ts'
import { HttpClient } from '../sources/http-client.ts'
import type { Datadir } from '../storage/local/datadir.ts'
import { incomingFolder } from '../storage/local/layout.ts'
import { VERSION } from '../version.ts'

/** The parts that more than one command puts together, each in its one way. */

export function createImages(config: Config, datadir: Datadir): Images {
  const { mode, anonymous, channels, adminUuid, maxImageSize } = config
  return {
    policy: { mode, anonymous, channels, adminUuid, maxImageSize, stallTimeout: config.stallTimeout * 1000 },
    manifests: datadir.manifests,
    files: datadir.files,
    locks: datadir.locks,
    now: () => new Date(),
    newUuid: () => v4(),
  }
}

export function createMirrors(config: Config, datadir: Datadir, images: Images, log: Logger): Mirrors {
  const { concurrency, minimumRate, ...retry } = config.imports
  const client = new HttpClient({
    allowPrivate: config.allowPrivateSources,
    // The operator names these sources, and nobody else can.
    trusted: new Set(config.mirrors.map(({ source }) => new URL(source).origin)),
    stallTimeout: config.stallTimeout * 1000,
    userAgent: config.serverName ?? `imgapi/${VERSION}`,
    sources: config.sources,
    minimumRate,
  })
  return new Mirrors(config.mirrors, { images, client, store: datadir.mirrors, log, retry, concurrency })
}

export function createDropFolder(config: Config, images: Images, log: Logger): DropFolder {
  const channel = images.policy.channels.find(candidate => candidate.default)?.name
  return new DropFolder({ folder: config.incoming ?? incomingFolder(config.datadir), images, log, channel })
}
