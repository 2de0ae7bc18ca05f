import { UsageError } from '../util/operator-error.ts'

/**
 * Finds the server and the credentials: flags win over the environment, the environment over the config file. Credentials
 * are for one server: those of a URL and of the config for the server that is named there, those of the environment for
 * the origin of IMGAPI_URL or, without it, for the server that the user names.
 */

export type Credentials =
  | { type: 'basic'; user: string; password: string }
  /** `key` is a private key in a format of OpenSSH. */
  | { type: 'signature'; user: string; key: string }

export interface Target {
  /** Without credentials, without `?channel=`, and without a slash at the end. */
  url: URL
  credentials?: Credentials | undefined
  /** The user whose password is missing; the caller asks for it. */
  userToAsk?: string | undefined
  /** Says which credentials of the environment are not used, because they are for another server. */
  note?: string | undefined
  channel?: string | undefined
  /** Trust any certificate. */
  insecure: boolean
}

/** The settings of a config file that locate its server. */
export interface ServerConfig {
  host: string
  port: number
  tls?: unknown
  userdb: readonly { name: string; password: string }[]
}

export interface TargetOptions {
  /** As given by `--url`. */
  url?: string | undefined
  channel?: string | undefined
  env: Record<string, string | undefined>
  /** Called only if neither flag nor environment names a server. */
  readConfig(): ServerConfig
  readFile(path: string): string
  /** Returns whether a password of the config is a hash, with which a client cannot log in. */
  isHashed(password: string): boolean
}

/** The server or the credentials cannot be determined. The message contains no password. */
export class TargetError extends UsageError {
  override readonly name = 'TargetError'
}

/** Returns the server to use and the credentials for it. Throws TargetError, and what `readConfig` throws. */
export function resolveTarget(options: TargetOptions): Target {
  const { env } = options
  const given = options.url ?? (env.IMGAPI_URL || undefined)
  const insecure = /^(1|true|yes)$/i.test(env.IMGAPI_INSECURE ?? '')
  if (given === undefined) return { ...configTarget(options), insecure, channel: options.channel }
  const { url, user, password, ...rest } = parseServerUrl(
    given,
    options.url !== undefined ? '--url' : 'IMGAPI_URL',
  )
  const channel = options.channel ?? rest.channel
  const isComplete = user !== undefined && password !== undefined
  const note = isComplete ? undefined : foreignCredentials(env, url)
  const own = note === undefined ? options : { ...options, env: {} }
  return { url, insecure, channel, note, ...identify(own, user, password) }
}

/** Returns the server of the config. Credentials of the environment win over the first user of the config. */
function configTarget(options: TargetOptions): Pick<Target, 'url' | 'credentials' | 'userToAsk'> {
  const config = options.readConfig()
  const url = urlOf(config)
  const { credentials, userToAsk } = identify(options)
  if (credentials ?? userToAsk) return { url, credentials, userToAsk }
  const first = config.userdb.find(({ password }) => !options.isHashed(password))
  return { url, credentials: first && { type: 'basic', user: first.name, password: first.password } }
}

/**
 * Parses the URL of a server, which may have credentials, a base path and `?channel=`, and may lack `http://`. `where`
 * names its source in messages. Throws TargetError.
 */
export function parseServerUrl(given: string, where: string) {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(given)
  const parsed = tryParse(hasScheme ? given : `http://${given}`)
  if (!parsed || !/^https?:$/.test(parsed.protocol)) {
    throw new TargetError(`${where}: expected a URL such as http://images.example.com:8080`)
  }
  const url = new URL(parsed.origin)
  url.pathname = parsed.pathname.replace(/\/+$/, '')
  const decoded = (text: string) => {
    try {
      return decodeURIComponent(text)
    } catch {
      throw new TargetError(`${where}: the user or the password has a "%" that must be written as "%25"`)
    }
  }
  return {
    url,
    channel: parsed.searchParams.get('channel') ?? undefined,
    user: parsed.username === '' ? undefined : decoded(parsed.username),
    password: parsed.password === '' ? undefined : decoded(parsed.password),
  }
}

function tryParse(text: string): URL | undefined {
  try {
    return new URL(text)
  } catch {
    return undefined
  }
}

const SECRETS = ['IMGAPI_USER', 'IMGAPI_PASSWORD', 'IMGAPI_IDENTITY']

/** Returns a note if the environment has credentials that are for another server than that of the URL. */
function foreignCredentials(env: TargetOptions['env'], url: URL): string | undefined {
  const found = SECRETS.filter(name => env[name])
  if (!env.IMGAPI_URL || found.length === 0) return undefined
  const { origin } = parseServerUrl(env.IMGAPI_URL, 'IMGAPI_URL').url
  if (origin === url.origin) return undefined
  const verb = found.length === 1 ? 'is' : 'are'
  return `${found.join(' and ')} ${verb} for ${origin}, the server of IMGAPI_URL, and not used for ${url.origin}`
}

/** Returns the credentials of the URL, completed from the environment. Throws TargetError. */
function identify(
  { env, readFile }: TargetOptions,
  userOfUrl?: string,
  passwordOfUrl?: string,
): Pick<Target, 'credentials' | 'userToAsk'> {
  const user = userOfUrl ?? (env.IMGAPI_USER || undefined)
  if (user === undefined) {
    const alone = ['IMGAPI_PASSWORD', 'IMGAPI_IDENTITY'].find(name => env[name])
    if (alone) throw new TargetError(`${alone} is set: set IMGAPI_USER too`)
    return {}
  }
  if (user.includes(':')) throw new TargetError('the name of a user cannot contain a colon')
  if (passwordOfUrl !== undefined) return { credentials: { type: 'basic', user, password: passwordOfUrl } }
  if (env.IMGAPI_IDENTITY) {
    return { credentials: { type: 'signature', user, key: readIdentity(env.IMGAPI_IDENTITY, readFile) } }
  }
  const password = env.IMGAPI_PASSWORD
  return password ? { credentials: { type: 'basic', user, password } } : { userToAsk: user }
}

function readIdentity(path: string, readFile: (path: string) => string): string {
  try {
    return readFile(path)
  } catch (error) {
    throw new TargetError(`IMGAPI_IDENTITY: ${(error as Error).message}`)
  }
}

/** A server that listens on all addresses is reached at the loopback address. */
const LOOPBACK: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

function urlOf({ host, port, tls }: ServerConfig): URL {
  if (port === 0) throw new TargetError('the config has port 0: name the server with --url')
  const name = LOOPBACK[host] ?? host
  return new URL(`${tls ? 'https' : 'http'}://${name.includes(':') ? `[${name}]` : name}:${port}`)
}
