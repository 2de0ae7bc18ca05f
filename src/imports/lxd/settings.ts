import { z } from 'zod'
import { choice, url } from '../../util/config-rules.ts'

/** The part of the config file that names the image servers for LXD imports. */

const error = 'a URL, or an object {"url": URL, "protocol": "simplestreams" or "lxd"}'

const Registry = z.union(
  [
    url.transform(place => ({ url: place, protocol: 'simplestreams' as const })),
    z.strictObject({
      url: url.describe('where the server is'),
      protocol: choice('simplestreams', 'lxd')
        .default('simplestreams')
        .describe('`lxd` is the REST API of a server of LXD or Incus'),
    }),
  ],
  { error },
)

/** The default: the servers that LXD itself has under these names. */
export const LxdRegistries = z
  .record(z.string().min(1), Registry, { error: `an object {NAME: ${error}}` })
  .prefault({
    images: 'https://images.lxd.canonical.com',
    ubuntu: 'https://cloud-images.ubuntu.com/releases',
  })

export type LxdRegistry = z.output<typeof Registry>
