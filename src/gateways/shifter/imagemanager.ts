import { existsSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, resolve } from 'node:path'
import { z } from 'zod'
import { OperatorError } from '../../util/operator-error.ts'

/** The gateway's configuration file imagemanager.json, with the keys and the meanings of the original gateway. */

const name = z.string({ error: 'text' }).min(1, { error: 'text that is not empty' })
/** Excludes values that ssh would read as an option or as two arguments. */
const word = name.regex(/^[^-\s][^\s]*$/, { error: 'a word that does not begin with "-"' })
const folder = name.refine(isAbsolute, { error: 'an absolute path' })
const words = z.array(z.string(), { error: 'a list of texts' })
const seconds = z.number({ error: 'seconds' }).nonnegative({ error: 'seconds' })

/** One name, or a list of them. */
const names = z.union([name.transform(one => [one]), z.array(name)], { error: 'a list of names' }).default([])

const expiration = z
  .string({ error: '"days:hours:minutes:seconds"' })
  .regex(/^\d{1,6}:\d{1,6}:\d{1,6}:\d{1,6}$/, { error: '"days:hours:minutes:seconds"' })
  .transform(text => {
    const [days, hours, minutes, rest] = text.split(':').map(Number) as [number, number, number, number]
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest
  })

const Location = z.object({
  remotetype: z.literal('dockerv2', { error: '"dockerv2"' }).default('dockerv2'),
  url: name
    .refine(value => URL.canParse(value) && /^https?:/.test(value), { error: 'an http or https URL' })
    .optional(),
  authMethod: z.enum(['token', 'basic'], { error: '"token" or "basic"' }).default('token'),
  sslcacert: name.optional(),
})

const common = { mungeSocketPath: name.optional(), admins: names }

const LocalPlatform = z.object({
  ...common,
  accesstype: z.literal('local'),
  local: z.object({ imageDir: folder }, { error: 'an object {"imageDir": FOLDER}' }),
})

const RemotePlatform = z.object({
  ...common,
  accesstype: z.literal('remote'),
  host: z.union([word.transform(one => [one]), z.array(word).min(1)], { error: 'a list of host names' }),
  ssh: z.object(
    {
      username: word.regex(/^[^@:]+$/, { error: 'the name of a user' }),
      key: name.optional(),
      imageDir: folder,
      sshCmdOptions: words.default([]),
      scpCmdOptions: words.default([]),
    },
    { error: 'an object {"username": ..., "imageDir": FOLDER}' },
  ),
})

const Platform = z.discriminatedUnion('accesstype', [LocalPlatform, RemotePlatform], {
  error: 'a platform whose "accesstype" is "local" or "remote"',
})

/** Keys that only the original gateway uses (MongoDBURI, Broker) are optional and ignored. */
export const ImageManager = z.object(
  {
    Locations: z.record(name, Location, { error: 'an object {NAME: {"url": ...}}' }),
    Platforms: z
      .record(name, Platform, { error: 'an object {SYSTEM: {"accesstype": ...}}' })
      .refine(platforms => Object.keys(platforms).length > 0, { error: 'at least one platform' }),
    DefaultImageLocation: name,
    DefaultImageFormat: z
      .literal('squashfs', { error: '"squashfs", the only format that is supported' })
      .default('squashfs'),
    PullUpdateTimeout: seconds.default(300),
    ImageExpirationTimeout: expiration.default(90 * 24 * 3600),
    WorkerThreads: z.int({ error: 'a whole number' }).min(1).max(64).default(1),
    CacheDirectory: name.optional(),
    ExpandDirectory: name.optional(),
    Metrics: z.boolean({ error: 'true or false' }).default(false),
    Authentication: z.enum(['munge', 'mock'], { error: '"munge" or "mock"' }).default('munge'),
    ImportUsers: z
      .union([z.enum(['all', 'none']), z.array(name)], { error: '"all", "none" or a list of users' })
      .default('none'),
    ConverterOptions: z.object({ squashfs: words.optional() }).default({}),
    examiner: name.optional(),
    LogLevel: z
      .string()
      .toLowerCase()
      .pipe(z.enum(['debug', 'info', 'warning', 'warn', 'error', 'critical']))
      .transform(level => ({ warning: 'warn', critical: 'fatal' })[level as string] ?? level)
      .optional(),
  },
  { error: 'an object' },
)

export type ImageManager = z.output<typeof ImageManager>
export type PlatformSettings = z.output<typeof Platform>
export type LocalSettings = z.output<typeof LocalPlatform>
export type RemoteSettings = z.output<typeof RemotePlatform>

/**
 * Validates a configuration, given as the path of its file or as its content. Paths in a file are relative to its
 * folder; others are resolved as those of the config. Throws OperatorError, which names every problem.
 */
export function readImageManager(given: unknown, resolvePath: (path: string) => string): ImageManager {
  const path = typeof given === 'string' ? resolvePath(given) : undefined
  const where = path ?? 'gateways.shifter.config'
  const result = ImageManager.safeParse(path === undefined ? given : readJson(path))
  const problems = result.success
    ? problemsBetween(result.data)
    : result.error.issues.map(issue => `${issue.path.join('.')}: expected ${issue.message}`)
  if (problems.length > 0) throw new OperatorError(problems.map(problem => `${where}: ${problem}`).join('\n'))
  return withPaths(result.data!, path === undefined ? resolvePath : own => resolve(dirname(path), own))
}

function readJson(path: string): unknown {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new OperatorError(`${path}: ${(error as Error).message}`)
  }
  try {
    return JSON.parse(text)
  } catch {
    throw new OperatorError(`${path}: not valid JSON`)
  }
}

/** Returns the problems that concern more than one key. */
function problemsBetween(config: ImageManager): string[] {
  const problems: string[] = []
  if (!config.Locations[config.DefaultImageLocation]) {
    problems.push(
      `DefaultImageLocation: expected one of the Locations, found "${config.DefaultImageLocation}"`,
    )
  }
  for (const [system, { mungeSocketPath }] of Object.entries(config.Platforms)) {
    if (config.Authentication === 'munge' && !mungeSocketPath) {
      problems.push(`Platforms.${system}.mungeSocketPath: expected the socket of its munged`)
    }
  }
  return problems
}

function withPaths(config: ImageManager, resolvePath: (path: string) => string): ImageManager {
  // As in the original, a certificate may also be relative to the working directory.
  const certificate = (file: string) => [resolvePath(file), resolve(file)].find(existsSync)
  for (const [location, settings] of Object.entries(config.Locations)) {
    if (settings.sslcacert === undefined) continue
    const found = certificate(settings.sslcacert)
    if (!found)
      throw new OperatorError(`Locations.${location}.sslcacert: file ${settings.sslcacert} does not exist`)
    settings.sslcacert = found
  }
  for (const platform of Object.values(config.Platforms)) {
    if (platform.accesstype === 'remote' && platform.ssh.key) platform.ssh.key = resolvePath(platform.ssh.key)
  }
  const { CacheDirectory, ExpandDirectory } = config
  return {
    ...config,
    ...(CacheDirectory && { CacheDirectory: resolvePath(CacheDirectory) }),
    ...(ExpandDirectory && { ExpandDirectory: resolvePath(ExpandDirectory) }),
  }
}
