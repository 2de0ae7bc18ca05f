import { readFileSync } from 'node:fs'
import { isHashed } from '../auth/password.ts'
import { ImgapiClient } from '../client/client.ts'
import { resolveTarget, type Target, TargetError } from '../client/target.ts'
import { ConfigError, readConfig } from '../config/config.ts'
import { VERSION } from '../version.ts'
import { ask } from './ask.ts'
import { type Args, type Command, command, configArg, UsageError, type Values } from './command.ts'
import { explain } from './explain.ts'
import { Progress } from './progress.ts'

/** What the commands that talk to a server have in common: which server, who we are, and how errors read. */

export const GLOBAL_ARGS = {
  url: {
    type: 'string',
    alias: 'u',
    valueHint: 'URL',
    description:
      'server, with or without credentials (default: $IMGAPI_URL, else the server of the config file)',
  },
  config: { ...configArg, complete: 'file' },
  channel: {
    type: 'string',
    alias: 'C',
    valueHint: 'NAME',
    description: 'channel of the server; * means all channels',
  },
  json: { type: 'boolean', alias: 'j', description: 'print JSON' },
  verbose: { type: 'boolean', alias: 'v', description: 'on failure, show the request id and the response' },
  quiet: { type: 'boolean', alias: 'q', description: 'suppress progress and status messages' },
} as const satisfies Args

export interface Context {
  client: ImgapiClient
  progress: Progress
  /** Aborted by Ctrl-C. */
  signal: AbortSignal
  /** For people, unless they want quiet or JSON: says what was done. */
  say(line: string): void
  print(value: unknown): void
  /** A client like this one for another server. */
  connect(target: Omit<Target, 'userToAsk'>): ImgapiClient
}

interface Definition<T extends Args> {
  meta: { name: string; description: string }
  args: T
  examples: string[]
  run(args: Values<T & typeof GLOBAL_ARGS>, context: Context): Promise<unknown>
}

export function clientCommand<const T extends Args>({ meta, args, examples, run }: Definition<T>): Command {
  return command({
    meta,
    args: { ...args, ...GLOBAL_ARGS },
    examples,
    run: values => withContext(values as GlobalValues, context => run(values as never, context)),
  })
}

const withContext = (values: GlobalValues, run: (context: Context) => Promise<unknown>) =>
  withTerminal(values, async context =>
    run({ ...context, client: context.connect(await findTarget(values)) }),
  )

/** What a command has that may do without a server. */
export type Terminal = Omit<Context, 'client'>

export type GlobalValues = Values<typeof GLOBAL_ARGS>

export async function withTerminal(values: GlobalValues, run: (context: Terminal) => Promise<unknown>) {
  const controller = new AbortController()
  const interrupt = () => controller.abort()
  // A second one is not caught: it ends the program at once.
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  process.stdout.on('error', endQuietly)
  const { signal } = controller
  const progress = new Progress({ quiet: values.quiet })
  const clients: ImgapiClient[] = []
  const connect = (target: Omit<Target, 'userToAsk'>) => {
    const client = new ImgapiClient(target, { userAgent: `imgapi/${VERSION}`, signal })
    clients.push(client)
    return client
  }
  try {
    await run({
      progress,
      signal,
      connect,
      say: line => (values.quiet || values.json ? undefined : progress.say(line)),
      print: value => console.log(JSON.stringify(value, null, 2)),
    })
  } catch (error) {
    progress.stop()
    throw explain(error, { verbose: values.verbose, isInterrupted: signal.aborted })
  } finally {
    progress.stop()
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
    await Promise.all(clients.map(client => client.close()))
  }
}

/** Who reads our output has seen enough: `imgapi list | head`. */
function endQuietly(error: NodeJS.ErrnoException) {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
}

/** The server that flags, environment or config name. Throws UsageError. */
export async function findTarget({ url, config, channel }: GlobalValues): Promise<Target> {
  try {
    const target = resolveTarget({
      url,
      channel,
      env: process.env,
      readConfig: () => readConfig(config),
      readFile: path => readFileSync(path, 'utf8'),
      isHashed,
    })
    return await withPassword(target)
  } catch (error) {
    if (error instanceof TargetError) throw new UsageError(error.message)
    if (!(error instanceof ConfigError)) throw error
    throw new UsageError(`${error.message}\nwhich server? Name it with --url URL or in IMGAPI_URL`)
  }
}

/** Asked for where somebody is there to answer, so that it need not be written anywhere. */
async function withPassword(target: Target): Promise<Target> {
  const { userToAsk: user } = target
  if (user === undefined) return target
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new TargetError(`the password of ${user} is not known: set IMGAPI_PASSWORD or IMGAPI_IDENTITY`)
  }
  const password = await ask(`Password of ${user} at ${target.url.host}: `)
  return { ...target, credentials: { type: 'basic', user, password } }
}
