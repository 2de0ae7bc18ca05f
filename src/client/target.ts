/** Finds the server and the credentials: flags win over the environment, the environment over the config file. */

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
export class TargetError extends Error {
  override readonly name = 'TargetError'
}

/** Returns the server to use and the credentials for it. Throws TargetError, and what `readConfig` throws. */
export function resolveTarget(options: TargetOptions): Target {
  const { env } = options
  const given = options.url ?? (env.IMGAPI_URL || undefined)
  const insecure = /^(1|true|yes)$/i.test(env.IMGAPI_INSECURE ?? '')
  const common = { insecure, ...(options.channel !== undefined && { channel: options.channel }) }
  if (given !== undefined) {
    const where = options.url !== undefined ? '--url' : 'IMGAPI_URL'
    const { url, channel, user, password } = parseServerUrl(given, where)
    return { url, ...(channel !== undefined && { channel }), ...identify(options, user, password), ...common }
  }
  const config = options.readConfig()
  const first = config.userdb.find(candidate => !options.isHashed(candidate.password))
  const fromEnvironment = identify(options)
  const fromConfig: Credentials | undefined = first && {
    type: 'basic',
    user: first.name,
    password: first.password,
  }
  const isNamed = fromEnvironment.credentials !== undefined || fromEnvironment.userToAsk !== undefined
  return { url: urlOf(config), ...(isNamed ? fromEnvironment : { credentials: fromConfig }), ...common }
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
