import { z } from 'zod'
import { parseJson } from '../../images/json.ts'

/** Manifests of the OCI image specification and of Docker, schema 2, which differ in their media types. */

const INDEX_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]
const MANIFEST_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]

export const ACCEPTED = [...MANIFEST_TYPES, ...INDEX_TYPES].join(', ')

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'not a sha256 digest')

const Descriptor = z.object({
  mediaType: z.string(),
  digest,
  size: z.int().nonnegative(),
})

export type Descriptor = z.infer<typeof Descriptor>

const Manifest = z.object({
  config: Descriptor,
  layers: z.array(Descriptor).min(1, 'an image has at least one').max(1000),
})

export type Manifest = z.infer<typeof Manifest>

const Index = z.object({
  manifests: z.array(
    Descriptor.extend({
      platform: z
        .object({ os: z.string(), architecture: z.string(), variant: z.string().optional() })
        .optional(),
    }),
  ),
})

/** The platform of an image: `{ os: 'linux', architecture: 'amd64' }`. */
export interface Platform {
  os: string
  architecture: string
}

const texts = z.array(z.string()).nullish()

/** The part of an image's config that is needed to run containers. */
const ImageConfig = z.looseObject({
  created: z.string().nullish(),
  comment: z.string().nullish(),
  os: z.string().nullish(),
  architecture: z.string().nullish(),
  /** One entry a step of the build; those without `empty_layer` are the layers, in their order. */
  history: z
    .array(
      z.looseObject({
        created: z.string().nullish(),
        created_by: z.string().nullish(),
        empty_layer: z.boolean().nullish(),
      }),
    )
    .nullish(),
  config: z
    .looseObject({
      Env: texts,
      Entrypoint: texts,
      Cmd: texts,
      WorkingDir: z.string().nullish(),
      User: z.string().nullish(),
      Labels: z.record(z.string(), z.string()).nullish(),
    })
    .nullish(),
})

export type ImageConfig = z.infer<typeof ImageConfig>

/** Reads a manifest, or finds the one for a platform in an index. Throws an error with a message for the user. */
export function readManifest(text: string, contentType: string | undefined, platform: Platform) {
  const value = parse(text, 'manifest')
  const own = (value as { mediaType?: unknown } | null)?.mediaType
  const type = typeof own === 'string' ? own : contentType?.split(';')[0]?.trim()
  if (type && INDEX_TYPES.includes(type)) return { chosen: choose(check(Index, value, 'index'), platform) }
  if (!type || !MANIFEST_TYPES.includes(type)) {
    throw new Error(`the registry has it as "${type}", which is not supported: push it again`)
  }
  return { manifest: check(Manifest, value, 'manifest') }
}

function choose({ manifests }: z.infer<typeof Index>, { os, architecture }: Platform): Descriptor {
  const found = manifests.find(
    ({ platform }) => platform?.os === os && platform.architecture === architecture,
  )
  if (found) return found
  // The index lists attestations too, with the platform "unknown".
  const there = manifests
    .flatMap(({ platform }) => (platform ? [`${platform.os}-${platform.architecture}`] : []))
    .filter(name => name !== 'unknown-unknown')
  const list = [...new Set(there)].join(', ')
  throw new Error(`no ${os}-${architecture} platform found in manifest list: ${list}`)
}

/** Reads a config. Throws an error with a message for the user. */
export const readConfig = (text: string): ImageConfig => check(ImageConfig, parse(text, 'config'), 'config')

function parse(text: string, what: string): unknown {
  try {
    return parseJson(text)
  } catch (error) {
    throw new Error(`the ${what} of the image ${(error as Error).message}`)
  }
}

function check<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new Error(`the ${what} of the image is not valid: ${issue!.path.join('.')}: ${issue!.message}`)
}
