import { z } from 'zod'
import { choice, flag, pathPrefix, text, whole } from '../../config/rules.ts'

/** The settings of the gateway: `gateways.mistify` in the config file. */
export const MistifyConfig = z
  .strictObject(
    {
      port: whole(0, 65535).optional().describe('TCP port of its own; 0 takes a free one'),
      prefix: pathPrefix.optional().describe("or the path on the server's port below which its own are"),
      address: text.optional().describe('address to listen on at its own port; default: that of the server'),
      tls: flag.default(false).describe("HTTPS at its own port, with the server's certificate"),
      credentials: choice('changes', 'all', 'none')
        .default('changes')
        .describe('what needs a user of the `userdb`; with `none` everybody may add and delete images here'),
      fetchTimeout: whole(1, 604_800, ' (seconds)')
        .default(86_400)
        .describe('seconds after which a fetch that is not complete has failed'),
    },
    { error: 'an object {"port": ...} or {"prefix": ...}' },
  )
  .refine(({ port, prefix }) => (port === undefined) !== (prefix === undefined), {
    error: 'either "port" or "prefix"',
  })
  .describe('the API of mistify-image-service')

export type MistifyConfig = z.output<typeof MistifyConfig>
