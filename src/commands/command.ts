import { parseArgs } from 'node:util'
import type { ArgDef, CommandDef } from 'citty'
import { defaultConfigPath } from '../config/config.ts'
import { UsageError } from '../util/operator-error.ts'

/** The base of all commands: strict arguments, examples, and errors that say what to do. */

export const configArg = {
  type: 'string',
  alias: 'c',
  valueHint: 'FILE',
  description: 'config file (default: $HOME/.imgapi.json)',
} as const

/** An argument of citty, with properties that citty lacks. */
export type Arg = ArgDef & {
  /** For the last positional: takes all remaining words. */
  rest?: boolean
  /** For a flag whose value may begin with a dash. */
  dash?: boolean
  /** The possible values, for completion. */
  complete?: 'file' | readonly string[]
}

export type Args = Record<string, Arg>

type Value<A extends Arg> = A extends { type: 'boolean' }
  ? boolean
  : A extends { rest: true }
    ? string[]
    : A extends { type: 'positional' }
      ? A extends { required: false }
        ? string | undefined
        : string
      : string | undefined

/** The parsed arguments. `config` has a default; the commands handle other missing values. */
export type Values<T extends Args> = { [Name in keyof T]: Name extends 'config' ? string : Value<T[Name]> }

interface Definition<T extends Args> {
  meta: { name: string; description: string }
  args: T
  examples: string[]
  run(args: Values<T>): Promise<unknown>
}

export interface Command extends Omit<CommandDef, 'args' | 'meta' | 'run'> {
  meta: { name: string; description: string }
  args: Args
  examples: string[]
  run(context: { rawArgs: string[] }): Promise<unknown>
}

/** Makes a citty command that, unlike citty's own, refuses unknown flags and words. */
export function command<const T extends Args>({ meta, args, examples, run }: Definition<T>): Command {
  return {
    meta,
    args,
    examples,
    run: async ({ rawArgs }) => run(readArguments(rawArgs, args)),
  }
}

/** Parses the command line. Throws UsageError for the first word that is unknown or missing. */
function readArguments<T extends Args>(rawArgs: string[], args: T): Values<T> {
  const entries = Object.entries(args)
  const flags = entries.filter(([, { type }]) => type !== 'positional')
  const positionals = entries.filter(([, { type }]) => type === 'positional')
  const options = Object.fromEntries(
    flags.map(([name, definition]) => {
      const [alias] = aliasesOf(definition)
      const type = definition.type === 'boolean' ? ('boolean' as const) : ('string' as const)
      return [name, { type, ...(alias && { short: alias }) }]
    }),
  )
  try {
    const words = joinDashed(rawArgs, flags)
    const parsed = parseArgs({ args: words, options, allowPositionals: true, strict: true })
    const values: Record<string, unknown> = { ...parsed.values }
    for (const [name, { type }] of flags) if (type === 'boolean') values[name] ??= false
    if ('config' in args) values.config ??= defaultConfigPath()
    return { ...values, ...readPositionals(parsed.positionals, positionals) } as Values<T>
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError((error as Error).message)
  }
}

function readPositionals(words: string[], definitions: [string, Arg][]): Record<string, unknown> {
  const left = [...words]
  const values: Record<string, unknown> = {}
  for (const [name, { rest, required, valueHint }] of definitions) {
    const isMissing = left.length === 0 && required !== false
    if (isMissing) throw new UsageError(`name the ${valueHint ?? name.toUpperCase()}`)
    values[name] = rest ? left.splice(0) : left.shift()
  }
  if (left[0] !== undefined) throw new UsageError(`unexpected argument: ${left[0]}`)
  return values
}

/** Returns the short forms of a flag. */
export const aliasesOf = ({ alias }: Arg & { alias?: string | string[] }): string[] =>
  alias === undefined ? [] : Array.isArray(alias) ? alias : [alias]

/** Rewrites `-s -published` as `--sort=-published`: Node's parser takes `-published` for a flag. */
function joinDashed(words: string[], flags: [string, Arg][]): string[] {
  const dashed = flags.find(([, { dash }]) => dash)
  if (!dashed) return words
  const [name, definition] = dashed
  const spellings = [`--${name}`, ...aliasesOf(definition).map(alias => `-${alias}`)]
  return words.flatMap((word, index) => {
    if (index > 0 && spellings.includes(words[index - 1]!)) return []
    const next = words[index + 1]
    return spellings.includes(word) && next !== undefined ? [`--${name}=${next}`] : [word]
  })
}
