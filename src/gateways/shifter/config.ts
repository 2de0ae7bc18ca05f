import { z } from 'zod'
import { flag, minimumRate, text, whole } from '../../util/config-rules.ts'

/** The settings of the gateway: `gateways.shifter` in the config file. */
export const ShifterConfig = z
  .strictObject(
    {
      config: z
        .union([text, z.looseObject({})], { error: 'the path of imagemanager.json, or its content' })
        .describe('`imagemanager.json` of the Shifter Image Gateway: its path or its content'),
      port: whole(0, 65535).default(5000).describe('TCP port to listen on; 0 selects a free port'),
      address: text
        .optional()
        .describe(
          'address to listen on; default: that of the server, or `127.0.0.1` with mock authentication',
        ),
      tls: flag.default(false).describe("HTTPS, with the server's certificate"),
      cacheSize: whole(0, Number.MAX_SAFE_INTEGER, ' (bytes)')
        .default(20 * 1024 ** 3)
        .describe('size limit in bytes of the layers that are cached for later pulls'),
      retryAfter: whole(1, 300, ' (seconds)')
        .default(10)
        .describe('seconds after a failed pull until the same request tries it again'),
      labels: flag
        .optional()
        .describe(
          'whether lists show the labels of images; default: true if `ENABLE_LABELS` is in the environment',
        ),
      writeAcl: flag
        .optional()
        .describe(
          'whether the `.meta` file of an image names its users and groups; default: false if `DISABLE_ACL_METADATA` is in the environment',
        ),
      minimumRate,
      pullTimeout: whole(1, 7 * 86_400, ' (seconds)')
        .default(6 * 3600)
        .describe('seconds that the download or the conversion of an image may take'),
    },
    { error: 'an object {"port": ..., "config": FILE}' },
  )
  .describe('the API of the Shifter Image Gateway')

export type ShifterConfig = z.output<typeof ShifterConfig>
