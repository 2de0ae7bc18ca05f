import { z } from 'zod'
import { requirements } from './requirements.ts'
import { asText, isObject, json, numeric, objectOf, text, textsIn } from './rules.ts'

/**
 * Every field of an image manifest, in one table: its rule, when it is required, and which requests may change it.
 * Validation, the TypeScript types and the error objects all come from here
 * (reference contract, section 5; the order of the table is the order in which problems are reported).
 *
 * Rules accept loose input and return typed values: existing builders write `"v": "2"`,
 * `"size": "379882274"`, `"public": "true"` and `"version": 1`.
 */

/** IMGAPI's notion of a UUID: lower-case hex with any bits, so neither zod's nor the uuid package's. */
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

export const isUuid = (value: unknown): value is string => typeof value === 'string' && UUID.test(value)

export const NO_OWNER = '00000000-0000-0000-0000-000000000000'
export const TYPES = ['zone-dataset', 'zvol', 'lx-dataset', 'lxd', 'docker', 'other'] as const
export const OSES = ['smartos', 'linux', 'windows', 'bsd', 'illumos', 'other'] as const
export const STATES = ['active', 'unactivated', 'disabled', 'failed', 'creating'] as const
export const COMPRESSIONS = ['gzip', 'bzip2', 'xz', 'none'] as const

const PUBLISHED_AT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?Z$/

const uuid = z.string({ error: '' }).regex(UUID, { error: '' })

const flag = (field: string) =>
  z.preprocess(
    value => (value === 'true' ? true : value === 'false' ? false : value),
    z.boolean({
      error: issue => `invalid value for "${field}": ${json(issue.input)}`,
    }),
  )

const words = (field: 'name' | 'version', max: number, pattern: RegExp, allowed: string) =>
  z
    .string({ error: `image ${field} must be a string` })
    .max(max, {
      error: `image ${field} is too long, max ${max} characters`,
      abort: true,
    })
    .regex(pattern, {
      error: `image ${field} has invalid characters (only alpha-numeric characters and ${allowed} are allowed)`,
    })

const link = (label: 'homepage' | 'EULA') =>
  z
    .string({ error: `image ${label} must be a string` })
    .regex(/^https?:/i, {
      error: `invalid image ${label} URL protocol`,
      abort: true,
    })
    .max(1024, {
      error: `image ${label} URL is too long (max 1024 characters)`,
    })

const oneOf = <T extends readonly [string, ...string[]]>(field: 'type' | 'os', values: T) =>
  z.enum(values, {
    error: issue => `invalid image ${field}, "${text(issue.input)}", must be one of: ${values.join(', ')}`,
  })

const driver = (field: string) =>
  z.string({
    error: issue => `invalid image ${field}: "${text(issue.input)}" (must be a string)`,
  })

const arrayOf = <T>(field: string, item: z.ZodType<T>, show = json) =>
  z.array(item, {
    error: issue => `invalid image "${field}" (not an array): ${show(issue.input)}`,
  })

const stringOrList = (value: unknown) => (typeof value === 'string' ? [value] : value)

/** Converts numbers and flags in a list to text. */
const textItems = (value: unknown) => (Array.isArray(value) ? value.map(asText) : value)

const acl = z.preprocess(
  stringOrList,
  arrayOf('acl', z.unknown(), text).superRefine((items, context) => {
    const bad = items.findIndex(item => typeof item !== 'string' || !UUID.test(item))
    if (bad !== -1) {
      const message = `invalid image "acl" (item ${bad} is not a UUID): ${text(items[bad])}`
      context.addIssue({ code: 'custom', message })
    }
  }),
) as unknown as z.ZodType<string[]>

const billingTags = z.preprocess(
  value => textItems(stringOrList(asText(value))),
  arrayOf(
    'billing_tags',
    z.custom<string>(tag => typeof tag === 'string' && tag.length <= 128, {
      error: issue => `invalid image "billing_tags" entry : ${text(issue.input)}`,
    }),
    text,
  ),
)

const user = z.custom<{ name: string }>(
  value => isObject(value) && typeof value.name === 'string' && Object.keys(value).length === 1,
  { error: issue => `invalid image "users" entry: ${json(issue.input)}` },
)

const traits = objectOf('traits').superRefine((values, context) => {
  for (const [key, value] of Object.entries(values)) {
    if (typeof value === 'string' || typeof value === 'boolean' || Array.isArray(value)) continue
    const message = `invalid image "traits" entry: (${key}, ${json(value)})`
    context.addIssue({ code: 'custom', message })
  }
})

const tags = objectOf('tags').superRefine((values, context) => {
  const size = json(values).length
  if (size > 102_400) {
    const message = `image "tags" object is too big: ${size} characters (max 102400)`
    context.addIssue({ code: 'custom', message })
  }
})

const FILE = {
  sha1: z.string().regex(/^[0-9a-f]{40}$/),
  compression: z.enum(COMPRESSIONS),
}
const file = z.object({
  sha1: FILE.sha1,
  size: z.preprocess(numeric, z.int().nonnegative()),
  compression: FILE.compression,
  dataset_guid: z.string().optional(),
})

/**
 * What a request may do with a field.
 * `create` / `import`: accept it, ignore it, or refuse it as an extra parameter; accept by default.
 * `update`: which callers may update it: all that may change the image, operators, or operators while the image is
 * unactivated; none by default.
 * `clear`: whether `null` in an update removes it.
 */
interface Policy {
  required?: boolean
  /** The field is text: a number or a flag is accepted as its text. */
  text?: true
  /** Required for images of type zvol, and not allowed for others. */
  zvol?: boolean
  create?: 'accept' | 'ignore' | 'refuse'
  import?: 'accept' | 'ignore' | 'refuse'
  update?: 'anyone' | 'operator' | 'unactivated'
  clear?: boolean
}

const field = <T>(rule: z.ZodType<T>, policy: Policy = {}) => ({
  rule,
  ...policy,
})

/** A field that is text. */
const textField = <T>(rule: z.ZodType<T>, policy: Policy = {}) =>
  field(z.preprocess(asText, rule), { ...policy, text: true })

/** Set by the server alone. */
const serverMade = { create: 'refuse', import: 'ignore' } as const
const updatable = { update: 'anyone', clear: true } as const

export const FIELDS = {
  v: field(
    z.preprocess(
      numeric,
      z
        .int({ error: '"v" must be a positive integer' })
        .nonnegative({ error: '"v" must be a positive integer' }),
    ),
    { required: true },
  ),
  uuid: field(uuid, {
    required: true,
    create: 'refuse',
    update: 'unactivated',
  }),
  owner: field(uuid, { required: true, update: 'anyone' }),
  name: textField(words('name', 1024, /^[A-Za-z0-9._/ -]+$/, '" ", ".", "-", "_" and "/"'), {
    required: true,
    update: 'anyone',
  }),
  version: textField(words('version', 512, /^[A-Za-z0-9._/+-]+$/, '".", "-", "_" and "/"'), {
    required: true,
    update: 'anyone',
  }),
  disabled: field(flag('disabled')),
  published_at: field(
    z.string({ error: 'invalid "published_at"' }).regex(PUBLISHED_AT, {
      error: 'published_at date not in "YYYY-MM-DDTHH:MM:SS(.SSS)Z" format',
    }),
    { create: 'refuse' },
  ),
  public: field(flag('public'), { required: true, update: 'anyone' }),
  state: field(z.enum(STATES, { error: '' }), {
    ...serverMade,
    update: 'operator',
  }),
  type: textField(oneOf('type', TYPES), { required: true }),
  os: textField(oneOf('os', OSES), { required: true, update: 'anyone' }),
  files: field(arrayOf('files', file), {
    create: 'ignore',
    import: 'ignore',
    update: 'unactivated',
  }),
  nic_driver: textField(driver('nic_driver'), { zvol: true, update: 'anyone' }),
  disk_driver: textField(driver('disk_driver'), { zvol: true, update: 'anyone' }),
  cpu_type: textField(driver('cpu_type'), { zvol: true, update: 'anyone' }),
  image_size: field(
    z.preprocess(
      numeric,
      z
        .int({
          error: issue => `invalid image image_size: "${text(issue.input)}" (must be a positive integer)`,
        })
        .positive({
          error: issue => `invalid image image_size: "${text(issue.input)}" (must be a positive integer)`,
        }),
    ),
    { zvol: true, update: 'anyone' },
  ),
  description: textField(
    z.string({ error: 'image description must be a string' }).max(10_240, {
      error: 'image description is too long, max 10240 characters',
    }),
    updatable,
  ),
  homepage: textField(link('homepage'), updatable),
  eula: textField(link('EULA'), updatable),
  origin: field(uuid, { update: 'unactivated', clear: true }),
  error: field(objectOf('error'), {
    ...serverMade,
    update: 'operator',
    clear: true,
  }),
  icon: field(z.boolean(), serverMade),
  acl: field(acl, updatable),
  requirements: field(requirements, updatable),
  users: field(z.preprocess(textsIn('name'), arrayOf('users', user)), updatable),
  billing_tags: field(billingTags, { update: 'operator', clear: true }),
  traits: field(traits, { update: 'operator', clear: true }),
  tags: field(tags, updatable),
  generate_passwords: field(flag('generate_passwords'), updatable),
  inherited_directories: field(
    z.preprocess(
      textItems,
      arrayOf(
        'inherited_directories',
        z.string({
          error: issue => `invalid image "inherited_directories" entry: ${json(issue.input)}`,
        }),
      ),
    ),
    updatable,
  ),
  channels: field(
    arrayOf(
      'channels',
      z.string({
        error: issue => `invalid image "channels" entry: ${json(issue.input)}`,
      }),
    ),
    { create: 'ignore', import: 'ignore', update: 'anyone' },
  ),
  urn: textField(z.string({ error: '' }), { create: 'refuse' }),
} satisfies Record<string, { rule: z.ZodType } & Policy>

export type FieldName = keyof typeof FIELDS
export const FIELD_NAMES = Object.keys(FIELDS) as FieldName[]
export const policyOf = (name: FieldName): Policy => FIELDS[name]
/** The text fields: in them `1.0` is the text as written. */
export const TEXT_FIELDS = FIELD_NAMES.filter(name => policyOf(name).text)
export const isFieldName = (name: string): name is FieldName => Object.hasOwn(FIELDS, name)

type Value<Name extends FieldName> = z.output<(typeof FIELDS)[Name]['rule']>
type Always = 'v' | 'uuid' | 'owner' | 'name' | 'version' | 'disabled' | 'public' | 'state' | 'type' | 'os'

/** The fields of a manifest, typed by the table above: those that every image has, and the optional ones. */
export type ManifestFields = { readonly [Name in Always]: Value<Name> } & {
  readonly [Name in Exclude<FieldName, Always>]?: Value<Name> | undefined
}
