import { parseArgs } from 'node:util'
import type { ArgsDef, CommandDef } from 'citty'
import { defaultConfigPath } from '../config.ts'

/** What our commands have in common: strict arguments, examples, and errors that say how to go on. */

/** Wrong words on the command line: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** It did not work, for a reason that the operator can read: exit code 1. */
export class FailedError extends Error {
  override readonly name = 'FailedError'
}

export const configArg = {
  type: 'string',
  alias: 'c',
  valueHint: 'FILE',
  description: 'config file (default: $HOME/.imgapi.json)',
} as const

interface Definition<T extends ArgsDef> {
  meta: { name: string; description: string }
  args: T
  examples: string[]
  run(args: Record<keyof T, string & boolean>): Promise<unknown>
}

export type Command = CommandDef & { examples: string[] }

/** A citty command that, unlike citty's own, refuses flags and words that it does not know. */
export function command<T extends ArgsDef>({ meta, args, examples, run }: Definition<T>): Command {
  return {
    meta,
    args,
    examples,
    async run({ rawArgs, args: parsed }: { rawArgs: string[]; args: Record<string, unknown> }) {
      checkArguments(rawArgs, args)
      const values = { ...parsed, ...('config' in args && { config: parsed.config ?? defaultConfigPath() }) }
      await run(values as Record<keyof T, string & boolean>)
    },
  } as Command
}

/** Throws UsageError for the first word that means nothing. */
function checkArguments(rawArgs: string[], args: ArgsDef) {
  const flags = Object.entries(args).filter(([, definition]) => definition.type !== 'positional')
  const positionals = Object.keys(args).length - flags.length
  const options = Object.fromEntries(
    flags.map(([name, definition]) => {
      const alias =
        'alias' in definition && typeof definition.alias === 'string' ? definition.alias : undefined
      const type = definition.type === 'boolean' ? ('boolean' as const) : ('string' as const)
      return [name, { type, ...(alias && { short: alias }) }]
    }),
  )
  try {
    const parsed = parseArgs({ args: rawArgs, options, allowPositionals: true, strict: true })
    const unexpected = parsed.positionals[positionals]
    if (unexpected !== undefined) throw new UsageError(`unexpected argument: ${unexpected}`)
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError((error as Error).message)
  }
}
