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

/** Creates the parts that more than one command uses. */

/** Creates the context of the image functions. */
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

/** Creates the mirrors of the config; none of them runs yet. */
export function createMirrors(config: Config, datadir: Datadir, images: Images, log: Logger): Mirrors {
  const { concurrency, minimumRate, ...retry } = config.imports
  const client = new HttpClient({
    allowPrivate: config.allowPrivateSources,
    // Only the operator names these sources, in the config.
    trusted: new Set(config.mirrors.map(({ source }) => new URL(source).origin)),
    stallTimeout: config.stallTimeout * 1000,
    userAgent: config.serverName ?? `imgapi/${VERSION}`,
    sources: config.sources,
    minimumRate,
  })
  return new Mirrors(config.mirrors, { images, client, store: datadir.mirrors, log, retry, concurrency })
}

/** Creates the drop folder, which is not watched yet. */
export function createDropFolder(config: Config, images: Images, log: Logger): DropFolder {
  const channel = images.policy.channels.find(candidate => candidate.default)?.name
  return new DropFolder({ folder: config.incoming ?? incomingFolder(config.datadir), images, log, channel })
}
