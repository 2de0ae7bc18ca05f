import { z } from 'zod'
import { choice, flag, pathPrefix, text, whole } from '../../util/config-rules.ts'

/** The settings of the gateway: `gateways.mistify` in the config file. */
export const MistifyConfig = z
  .strictObject(
    {
      port: whole(0, 65535).optional().describe('separate TCP port; 0 selects a free port'),
      prefix: pathPrefix
        .optional()
        .describe('path prefix on the port of the server, instead of a separate port'),
      address: text
        .optional()
        .describe('address to listen on with a separate port; default: that of the server'),
      tls: flag.default(false).describe("HTTPS on the separate port, with the server's certificate"),
      credentials: choice('changes', 'all', 'none')
        .default('changes')
        .describe(
          'which requests need a user of the `userdb`; with `none` every client can add and delete images',
        ),
      fetchTimeout: whole(1, 604_800, ' (seconds)')
        .default(86_400)
        .describe('seconds after which an incomplete fetch fails'),
    },
    { error: 'an object {"port": ...} or {"prefix": ...}' },
  )
  .refine(({ port, prefix }) => (port === undefined) !== (prefix === undefined), {
    error: 'either "port" or "prefix"',
  })
  .describe('the API of mistify-image-service')

export type MistifyConfig = z.output<typeof MistifyConfig>
