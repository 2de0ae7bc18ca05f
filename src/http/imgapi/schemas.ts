import { z } from 'zod'
import { COMPRESSIONS, OSES, STATES, TYPES } from '../../images/fields.ts'
import { count, uuid } from '../../images/value-rules.ts'
import type { AnswerKind } from '../operation.ts'

/** Schemas of answers and bodies, for `/openapi.json` and for the tests that compare real answers with them. */

const sha1 = z.string().regex(/^[0-9a-f]{40}$/)

export const ErrorSchema = z
  .strictObject({
    code: z.string().describe('what went wrong, in a word that programs may rely on'),
    message: z.string().describe('what went wrong and what to do, for people'),
    errors: z
      .array(z.strictObject({ field: z.string(), code: z.string(), message: z.string().optional() }))
      .optional()
      .describe('each parameter or field that is at fault'),
  })
  .meta({ id: 'Error' })

const FileSchema = z
  .looseObject({
    sha1,
    size: count.describe('bytes'),
    compression: z.enum(COMPRESSIONS),
    dataset_guid: z.string().optional(),
    stor: z.string().optional().describe('with `inclAdminFields=true`'),
  })
  .meta({ id: 'ImageFile' })

const PlatformSchema = z.record(z.string(), z.string())

const RequirementsSchema = z
  .looseObject({
    networks: z.array(z.looseObject({ name: z.unknown(), description: z.unknown() })).optional(),
    brand: z.string().optional(),
    ssh_key: z.boolean().optional(),
    min_ram: count.optional().describe('MiB'),
    max_ram: count.optional().describe('MiB'),
    min_platform: PlatformSchema.optional(),
    max_platform: PlatformSchema.optional(),
    bootrom: z.enum(['bios', 'uefi']).optional(),
  })
  .meta({ id: 'ImageRequirements' })

/** Fields that clients may set. When they may be set is checked by `images/`. */
const settable = {
  owner: uuid.optional(),
  name: z.string().max(1024).optional(),
  version: z.string().max(512).optional(),
  disabled: z.boolean().optional(),
  public: z.boolean().optional(),
  type: z.enum(TYPES).optional(),
  os: z.enum(OSES).optional(),
  nic_driver: z.string().optional(),
  disk_driver: z.string().optional(),
  cpu_type: z.string().optional(),
  image_size: count.optional().describe('MiB, of a zvol'),
  description: z.string().max(10_240).optional(),
  homepage: z.string().optional(),
  eula: z.string().optional(),
  origin: uuid.optional().describe('the image that this one is an increment of'),
  acl: z.array(uuid).optional().describe('accounts that may use a private image'),
  requirements: RequirementsSchema.optional(),
  users: z.array(z.looseObject({ name: z.string() })).optional(),
  billing_tags: z.array(z.string()).optional(),
  traits: z.looseObject({}).optional(),
  tags: z.looseObject({}).optional(),
  generate_passwords: z.boolean().optional(),
  inherited_directories: z.array(z.string()).optional(),
}

export const ManifestSchema = z
  .looseObject({
    ...settable,
    v: z.int().describe('version of the manifest format'),
    uuid,
    owner: uuid,
    name: z.string(),
    version: z.string(),
    state: z.enum(STATES),
    disabled: z.boolean(),
    public: z.boolean(),
    published_at: z.string().optional().describe('when it was activated, ISO 8601'),
    type: z.enum(TYPES),
    os: z.enum(OSES),
    files: z.array(FileSchema),
    icon: z.boolean().optional(),
    urn: z.string().optional(),
    error: z.looseObject({}).optional().describe('of an image in state failed'),
    channels: z.array(z.string()).optional(),
  })
  .meta({ id: 'Image' })

/** A manifest as a client sends it to create an image. */
export const NewManifestSchema = z
  .looseObject({ ...settable, v: z.int().optional(), urn: z.string().optional() })
  .meta({ id: 'NewImage' })

/** A manifest with its UUID, as another server or `imgadm create` sends it. */
export const ImportedManifestSchema = z
  .looseObject({ ...settable, v: z.int().optional(), uuid, published_at: z.string().optional() })
  .meta({ id: 'ImportedImage' })

export const UpdateSchema = z
  .looseObject({
    ...Object.fromEntries(
      Object.entries(settable).map(([name, rule]) => [name, rule.unwrap().nullable().optional()]),
    ),
    state: z.enum(STATES).optional(),
    error: z.looseObject({}).nullable().optional(),
  })
  .meta({ id: 'ImageUpdate' })

export const ChannelSchema = z
  .looseObject({ name: z.string(), description: z.string().optional(), default: z.boolean().optional() })
  .meta({ id: 'Channel' })

export const PingSchema = z
  .looseObject({
    ping: z.literal('pong'),
    version: z.string(),
    imgapi: z.boolean(),
    pid: z.int(),
    user: z.string().optional().describe('the name that came with the credentials'),
  })
  .meta({ id: 'Ping' })

export const StateSchema = z
  .looseObject({
    log: z.looseObject({ level: z.string(), lost: count.describe('lines that could not be written') }),
    storageTypes: z.array(z.string()),
    storage: z.string().describe('`ok`, or what is wrong with the storage'),
    uptime: count.describe('seconds'),
    memory: z.looseObject({ rss: count.describe('bytes') }),
    gateways: z.record(z.string(), z.string()).describe('`ok`, or what is wrong'),
  })
  .meta({ id: 'State' })

export const SubmittedSchema = z
  .looseObject({ image_uuid: uuid, job_uuid: uuid })
  .meta({ id: 'SubmittedJob' })

export const DatasetSchema = z
  .looseObject({
    uuid,
    name: z.string(),
    version: z.string(),
    urn: z.string(),
    files: z.array(z.looseObject({})),
  })
  .meta({ id: 'Dataset' })

/** Answers that several operations share. */
export const AN_IMAGE: Record<number, AnswerKind> = {
  200: { description: 'the image', schema: ManifestSchema },
}
export const A_JOB: Record<number, AnswerKind> = { 200: { description: 'the job', schema: SubmittedSchema } }
export const BYTES: Record<number, AnswerKind> = {
  200: { description: 'all bytes', media: 'application/octet-stream' },
  206: { description: 'the range that was asked for', media: 'application/octet-stream' },
  304: { description: 'the client has these bytes already' },
}
