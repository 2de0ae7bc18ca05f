import { readFileSync } from 'node:fs'
import { isHashed } from '../auth/password.ts'
import { ImgapiClient } from '../client/client.ts'
import { resolveTarget, type Target, TargetError } from '../client/target.ts'
import { ConfigError, readConfig } from '../config/config.ts'
import { UsageError } from '../util/operator-error.ts'
import { VERSION } from '../version.ts'
import { ask } from './ask.ts'
import { type Args, type Command, command, configArg, type Values } from './command.ts'
import { explain } from './explain.ts'
import { Progress } from './progress.ts'

/** Commands that use a server: they share the flags for server and credentials, progress, and readable errors. */

/** The flags of every command that uses a server. */
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

/** The environment of a running command. */
export interface Context {
  client: ImgapiClient
  progress: Progress
  /** Aborted by SIGINT and SIGTERM. */
  signal: AbortSignal
  /** Prints a line for the user; nothing with `--quiet` or `--json`. */
  say(line: string): void
  /** Prints a value as JSON. */
  print(value: unknown): void
  /** Returns a client for another server; it is closed when the command ends. */
  connect(target: Omit<Target, 'userToAsk'>): ImgapiClient
}

interface Definition<T extends Args> {
  meta: { name: string; description: string }
  args: T
  examples: string[]
  run(args: Values<T & typeof GLOBAL_ARGS>, context: Context): Promise<unknown>
}

/** Makes a command that has the global flags and a client. */
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

/** The context of a command that may not need a server. */
export type Terminal = Omit<Context, 'client'>

export type GlobalValues = Values<typeof GLOBAL_ARGS>

/** Runs a command with progress, interrupts and clients, which end with it. Throws the errors of `explain`. */
export async function withTerminal(values: GlobalValues, run: (context: Terminal) => Promise<unknown>) {
  const controller = new AbortController()
  const interrupt = () => controller.abort()
  // A second signal is not caught: it ends the program at once.
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  process.stdout.on('error', endQuietly)
  const { signal } = controller
  const progress = new Progress({ quiet: values.quiet })
  const clients: ImgapiClient[] = []
  const connect = (target: Omit<Target, 'userToAsk'>) => {
    if (target.note !== undefined) progress.note(target.note)
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

/** Ends without an error when the reader closes the pipe: `imgapi list | head`. */
function endQuietly(error: NodeJS.ErrnoException) {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
}

/** Resolves to the server that flags, environment or config name. Asks for a missing password. Throws UsageError. */
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
    if (!(error instanceof ConfigError)) throw error
    throw new UsageError(`${error.message}\nname the server with --url URL or in IMGAPI_URL`)
  }
}

/** Asks for a missing password if there is a terminal, so that it need not be stored. Throws TargetError. */
async function withPassword(target: Target): Promise<Target> {
  const { userToAsk: user, note = 'set IMGAPI_PASSWORD or IMGAPI_IDENTITY' } = target
  if (user === undefined) return target
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new TargetError(`the password of ${user} is not known: ${note}`)
  }
  const password = await ask(`Password of ${user} at ${target.url.host}: `)
  return { ...target, credentials: { type: 'basic', user, password } }
}
