import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { type ParseError, parse as parseLeniently } from 'jsonc-parser'
import { z } from 'zod'
import type { GatewayKind } from '../gateways/gateway.ts'
import * as GATEWAYS from '../gateways/registry.ts'
import { UUID } from '../images/fields.ts'
import { LxdRegistries } from '../imports/lxd/settings.ts'
import { MirrorList } from '../imports/mirror/settings.ts'
import { choice, flag, minimumRate, pathPrefix, text, url, whole } from '../util/config-rules.ts'
import { OperatorError } from '../util/operator-error.ts'

/**
 * The config file: every key with its default and its meaning. The keys of the predecessor (`datadir`, `port`,
 * `host`, `userdb`) keep their meaning; the others have the names of the reference server where it has them.
 */

const User = z.strictObject(
  {
    // In an HTTP Basic header a colon ends the user name.
    name: text.regex(/^[^:]+$/, { error: 'a name without a colon' }).describe('login name'),
    password: text.describe('the password in plain text, or its hash as `imgapi passwd` prints it'),
  },
  { error: 'an object {"name": ..., "password": ...}' },
)

const Channel = z.strictObject(
  {
    name: text
      .regex(/^[a-z][a-z0-9_-]*$/, { error: 'lower-case letters, digits, "_" and "-", a letter first' })
      .describe('name of the channel'),
    description: z.string({ error: 'text' }).default('').describe('description for clients'),
    default: flag.optional().describe('whether requests that name no channel use this one'),
  },
  { error: 'an object {"name": ..., "description": ..., "default": true}' },
)

const Source = z.strictObject(
  {
    url: url.describe('the settings apply to sources whose URL begins with this'),
    ca: text.optional().describe('PEM file with the certificate authority to trust'),
    insecure: flag.optional().describe('accept any certificate'),
  },
  { error: 'an object {"url": ..., "ca": FILE, "insecure": false}' },
)

const Imports = z.strictObject(
  {
    concurrency: whole(1, 64).default(3).describe('number of imports that run at the same time'),
    minimumRate,
    retries: whole(0, 100).default(8).describe('how often a failed fetch is retried'),
    firstDelay: whole(1, 3600_000, ' (milliseconds)')
      .default(1000)
      .describe('milliseconds before the first retry; doubled for each further retry'),
    longestDelay: whole(1, 3600_000, ' (milliseconds)')
      .default(60_000)
      .describe('maximum of milliseconds between two retries'),
  },
  { error: 'an object {"concurrency": ..., "retries": ...}' },
)

const Accel = z.strictObject(
  {
    header: text
      .regex(/^[A-Za-z0-9-]+$/, { error: 'the name of a header' })
      .default('X-Accel-Redirect')
      .describe('header that names the file for nginx to send'),
    prefix: pathPrefix.describe('internal location of nginx that maps to the data directory'),
  },
  { error: 'an object {"header": ..., "prefix": ...}' },
)

const Tls = z.strictObject(
  {
    cert: text.describe('PEM file with the certificate and its chain'),
    key: text.describe('PEM file with the private key'),
  },
  { error: 'an object {"cert": FILE, "key": FILE}' },
)

/** Each gateway defines the schema of its own settings. */
const Gateways = z.strictObject(
  Object.fromEntries(
    Object.entries<GatewayKind>(GATEWAYS).map(([name, { schema }]) => [name, schema.optional()]),
  ),
  { error: `an object {"${Object.keys(GATEWAYS)[0]}": ...}` },
)

export const Schema = z.strictObject(
  {
    datadir: text.describe('directory for the images; created if it does not exist'),
    port: whole(0, 65535).default(8080).describe('TCP port to listen on; 0 selects a free port'),
    host: text.default('127.0.0.1').describe('host name or address that clients use'),
    address: text
      .optional()
      .describe(
        'address to listen on; default: `host` if it is an address of this machine, else all addresses',
      ),
    userdb: z
      .array(User, { error: 'a list of {"name": ..., "password": ...}' })
      .default([])
      .describe('users; every user has write access'),
    mode: choice('standalone', 'public', 'private', 'dc')
      .default('standalone')
      .describe(
        'which rules of the reference server apply; `standalone` serves public and private images together',
      ),
    anonymous: choice('all', 'public', 'none')
      .default('all')
      .describe(
        'what can be read without credentials: all active images, images with `public: true`, or nothing',
      ),
    authType: choice('any', 'basic', 'signature', 'none')
      .default('any')
      .describe(
        'accepted credentials: HTTP Basic, HTTP signatures, or both; with `none` every request has write access',
      ),
    authKeys: z
      .record(text, z.array(text, { error: 'a list of SSH public keys' }), {
        error: 'an object {USER: [KEY, ...]}',
      })
      .default({})
      .describe(
        'SSH public keys of users for HTTP signatures; `<datadir>/etc/authkeys/local/<user>.keys` may hold more',
      ),
    channels: z
      .array(Channel, { error: 'a list of {"name": ..., "description": ...}' })
      .refine(channels => new Set(channels.map(({ name }) => name)).size === channels.length, {
        error: 'a list in which each name stands once',
      })
      .refine(channels => channels.filter(channel => channel.default).length <= 1, {
        error: 'a list with one default at most',
      })
      .default([])
      .describe('release channels; without channels, `?channel=` is ignored'),
    adminUuid: text
      .regex(UUID, { error: 'a UUID in lower case' })
      .optional()
      .describe('in mode `dc`, the account that owns images without an owner'),
    serverName: text.optional().describe('value of the `Server` header; default: imgapi/VERSION'),
    logLevel: choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent')
      .default('info')
      .describe('lowest level that is logged'),
    tls: Tls.optional().describe('serve HTTPS; the files are reloaded on SIGHUP'),
    publicUrl: url.optional().describe('URL that clients use; default: derived from each request'),
    accel: Accel.optional().describe(
      'let nginx, as the only way to the server, send image files: support-files/nginx-accel.conf',
    ),
    allowPrivateSources: flag
      .default(false)
      .describe('allow imports from loopback, link-local and private addresses'),
    sources: z
      .array(Source, { error: 'a list of {"url": ..., "ca": FILE, "insecure": false}' })
      .default([])
      .describe('TLS settings for the servers that imports fetch from'),
    imports: Imports.prefault({}).describe('limits and retries of imports'),
    mirrors: MirrorList.default([]).describe('other servers whose images are copied to this one'),
    incoming: text
      .optional()
      .describe(
        'drop folder: images that are copied there are published; default: `<datadir>/incoming`, if it exists',
      ),
    gateways: Gateways.prefault({}).describe(
      'other protocols for the same images; a gateway that is not named is off',
    ),
    datacenterName: text.optional().describe('name of this datacenter'),
    imgapiUrlFromDatacenter: z
      .record(text, url, { error: 'an object {DATACENTER: URL}' })
      .default({})
      .describe('URLs of the image servers of other datacenters, for import-from-datacenter'),
    lxdRegistries: LxdRegistries.describe(
      'LXD image servers by name: URLs (simplestreams), or `{"url": ..., "protocol": "lxd"}`; default: `images` and `ubuntu`, as in LXD',
    ),
    maxImageSize: whole(1, Number.MAX_SAFE_INTEGER, ' (bytes)')
      .optional()
      .describe('size limit of an image file, in bytes; default: no limit'),
    stallTimeout: whole(1, 86_400, ' (seconds)')
      .default(60)
      .describe('seconds without data after which a transfer is aborted'),
    shutdownTimeout: whole(0, 86_400, ' (seconds)')
      .default(300)
      .describe('seconds that running transfers may take to finish when the server stops'),
  },
  { error: 'an object' },
)

export type Config = z.output<typeof Schema>
export type User = z.output<typeof User>

/** An invalid config; the message says where the problem is and what is expected there. */
export class ConfigError extends OperatorError {
  override readonly name = 'ConfigError'
}

export const defaultConfigPath = () => join(process.env.HOME ?? homedir(), '.imgapi.json')

/** Reads a config file and resolves the paths in it relative to it. Throws ConfigError with all problems. */
export function readConfig(path: string): Config {
  const config = parseConfig(readJson(path), path)
  const fromHere = (file: string) => resolve(dirname(path), file)
  return {
    ...config,
    datadir: fromHere(config.datadir),
    sources: config.sources.map(source => ({ ...source, ...(source.ca && { ca: fromHere(source.ca) }) })),
    ...(config.incoming && { incoming: fromHere(config.incoming) }),
    ...(config.tls && { tls: { cert: fromHere(config.tls.cert), key: fromHere(config.tls.key) } }),
  }
}

function readJson(path: string): unknown {
  let json: string
  try {
    json = readFileSync(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const reason = code === 'ENOENT' ? 'there is no such file; name one with -c FILE' : message
    throw new ConfigError(`${path}: ${reason}`)
  }
  try {
    return JSON.parse(json)
  } catch {
    throw new ConfigError(`${path}: not valid JSON${whereBroken(json)}`)
  }
}

/** Returns line and column. The parser's own message quotes the text, which may be a password. */
function whereBroken(json: string): string {
  const errors: ParseError[] = []
  parseLeniently(json, errors, { disallowComments: true })
  const [first] = errors
  if (!first) return ''
  const lines = json.slice(0, first.offset).split('\n')
  return `: line ${lines.length}, column ${lines.at(-1)!.length + 1}`
}

/** Checks a config. `path` is used in messages only. Throws ConfigError with all problems. */
export function parseConfig(value: unknown, path: string): Config {
  const result = Schema.safeParse(value, { reportInput: true })
  if (result.success) return checkMirrors(result.data, path)
  throw new ConfigError(
    result.error.issues
      .flatMap(describeIssue)
      .map(line => `${path}: ${line}`)
      .join('\n'),
  )
}

/** Throws ConfigError for a mirror whose images would not be in any channel. */
function checkMirrors(config: Config, path: string): Config {
  const { channels, mirrors } = config
  const isChannel = (name: string | undefined) =>
    channels.some(channel => (name === undefined ? channel.default : channel.name === name))
  const problems = mirrors.flatMap(({ channel }, index) => {
    if (channels.length === 0 || isChannel(channel)) return []
    const found = channel === undefined ? 'nothing' : JSON.stringify(channel)
    const names = channels.map(({ name }) => `"${name}"`).join(', ')
    return [`${path}: mirrors[${index}].channel: found ${found}, expected one of ${names}`]
  })
  if (problems.length > 0) throw new ConfigError(problems.join('\n'))
  return config
}

/** Says where the problem is, what was found and what is expected. Values that may contain a password are left out. */
function describeIssue(issue: z.core.$ZodIssue): string[] {
  const where = issue.path
    .map((key, index) =>
      typeof key === 'number' ? `[${key}]` : index === 0 ? String(key) : `.${String(key)}`,
    )
    .join('')
  if (issue.code === 'unrecognized_keys') {
    const prefix = where ? `${where}.` : ''
    const known = where ? '' : `; the keys are ${Object.keys(Schema.shape).join(', ')}`
    return issue.keys.map(key => `${prefix}${key}: unknown key${known}`)
  }
  const [key, , name] = issue.path
  // The settings of gateways may contain secrets too.
  const isSecret =
    key === 'userdb' ||
    (key === 'mirrors' && (name === undefined || name === 'source')) ||
    (key === 'gateways' && typeof issue.input === 'object')
  const found =
    issue.input === undefined ? 'nothing' : isSecret ? typeName(issue.input) : withoutUserinfo(issue.input)
  return [`${where || 'the config'}: found ${found}, expected ${issue.message}`]
}

/** Returns a value as JSON, without the credentials in its URLs. */
const withoutUserinfo = (value: unknown) => JSON.stringify(value).replace(/\/\/[^/"]*@/g, '//***@')

function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  return (
    { string: 'text', number: 'a number', boolean: 'true or false' }[typeof value as string] ?? 'an object'
  )
}
