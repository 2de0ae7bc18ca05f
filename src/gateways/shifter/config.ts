import { z } from 'zod'
import { flag, minimumRate, text, whole } from '../../config/rules.ts'

/** The settings of the gateway: `gateways.shifter` in the config file. */
export const ShifterConfig = z
  .strictObject(
    {
      config: z
        .union([text, z.looseObject({})], { error: 'the path of imagemanager.json, or its content' })
        .describe('`imagemanager.json` of the Shifter Image Gateway: its path, or its content'),
      port: whole(0, 65535).default(5000).describe('TCP port to listen on; 0 takes a free one'),
      address: text
        .optional()
        .describe('address to listen on; default: that of the server, with mock authentication `127.0.0.1`'),
      tls: flag.default(false).describe("HTTPS, with the server's certificate"),
      cacheSize: whole(0, Number.MAX_SAFE_INTEGER, ' (bytes)')
        .default(20 * 1024 ** 3)
        .describe('bytes of layers to keep for later pulls'),
      retryAfter: whole(1, 300, ' (seconds)')
        .default(10)
        .describe('seconds after which the same request for a pull that has failed tries again'),
      labels: flag
        .optional()
        .describe('show the labels of images; default: whether the environment has `ENABLE_LABELS`'),
      writeAcl: flag
        .optional()
        .describe(
          'write whom an image is for into its `.meta` file; default: unless the environment has `DISABLE_ACL_METADATA`',
        ),
      minimumRate,
      pullTimeout: whole(1, 7 * 86_400, ' (seconds)')
        .default(6 * 3600)
        .describe('seconds that the download of an image, or what is made of it, may take'),
    },
    { error: 'an object {"port": ..., "config": FILE}' },
  )
  .describe('the API of the Shifter Image Gateway')

export type ShifterConfig = z.output<typeof ShifterConfig>
