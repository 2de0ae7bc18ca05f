/** Which server is meant and who we are there. Flags win over the environment, that over the config file. */

export type Credentials =
  | { type: 'basic'; user: string; password: string }
  /** `key` is a private key as OpenSSH keeps it. */
  | { type: 'signature'; user: string; key: string }

export interface Target {
  /** Without credentials, without `?channel=`, and without a slash at the end. */
  url: URL
  credentials?: Credentials | undefined
  /** A user whose password is not known. */
  userToAsk?: string | undefined
  channel?: string | undefined
  /** Trust any certificate. */
  insecure: boolean
}

/** What of a config file says where its server is. */
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
  /** Called only if nothing else says which server it is. */
  readConfig(): ServerConfig
  readFile(path: string): string
  /** Whether a password of the config is a hash, which opens nothing. */
  isHashed(password: string): boolean
}

/** A server that cannot be told from what was given. The message names no password. */
export class TargetError extends Error {
  override readonly name = 'TargetError'
}

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

/** A URL as people give it: with credentials, a base path, `?channel=`, or without `http://`. */
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

/** Who we are: the URL says it whole, or the environment completes it. */
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
  if (user.includes(':')) throw new TargetError('the name of a user cannot have a colon')
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

/** A server that listens on all addresses is reached at the one that is always there. */
const HERE: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

function urlOf({ host, port, tls }: ServerConfig): URL {
  if (port === 0) throw new TargetError('the config has port 0: name the server with --url')
  const name = HERE[host] ?? host
  return new URL(`${tls ? 'https' : 'http'}://${name.includes(':') ? `[${name}]` : name}:${port}`)
}
