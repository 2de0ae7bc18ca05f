import { stripVTControlCharacters } from 'node:util'
import { type CommandDef, renderUsage } from 'citty'
import type { Command } from './commands/command.ts'
import { configHelp } from './commands/config-help.ts'
import { COMMANDS } from './commands/index.ts'
import { CONVERTER } from './layers/convert-layers.ts'
import { runConverter } from './layers/converter.ts'
import { EXIT, isForOperator, OperatorError, UsageError } from './util/operator-error.ts'
import { VERSION } from './version.ts'

const main = {
  meta: { name: 'imgapi', version: VERSION, description: 'An image server for SmartOS' },
  subCommands: COMMANDS as Record<string, CommandDef>,
} satisfies CommandDef

/** The predecessor had flags and no commands: `imgapi -s -c FILE`, in Go's spellings, is `imgapi serve`. */
function fromPredecessor(argv: string[]): string[] {
  const known = /^--?(s|c)(=.*)?$/
  if (!argv[0] || !known.test(argv[0]) || !argv.some(word => /^--?s(=true)?$/.test(word))) return argv
  const rest = argv.filter(word => !/^--?s(=true)?$/.test(word))
  return ['serve', ...rest.map(word => word.replace(/^--?c(=|$)/, '--config$1'))]
}

const HINTS = `imgapi help config lists the keys of the config file.
imgapi -s -c FILE is the same as imgapi serve -c FILE.`

async function usage(name: string | undefined): Promise<string> {
  if (name === undefined) return `${await renderUsage(main)}\n\n${HINTS}\n`
  if (name === 'config') return configHelp()
  const found = findCommand(name)
  const examples = found.examples.map(example => `  ${example}`).join('\n')
  return `${await renderUsage(found as CommandDef, main)}\nEXAMPLES\n\n${examples}\n`
}

function findCommand(name: string): Command {
  const found = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!found) throw new UsageError(`unknown command: ${name}`)
  return found
}

async function run(argv: string[]) {
  const [first, ...rest] = argv
  const show = (text: string) => console.log(process.stdout.isTTY ? text : stripVTControlCharacters(text))
  // Not for people: the server starts it.
  if (first === CONVERTER) await runConverter()
  else if (first === '--version' || first === '-v') console.log(VERSION)
  else if (first === '--help' || first === '-h') show(await usage(undefined))
  else if (first === 'help') show(await usage(rest[0]))
  else if (first === undefined) throw new UsageError('name a command')
  else if (first.startsWith('-')) throw new UsageError(`unknown flag: ${first}`)
  else if (rest.includes('--help') || rest.includes('-h')) show(await usage(first))
  else await findCommand(first).run({ rawArgs: rest })
}

/** Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found. */
function report(error: unknown): number {
  if (error instanceof UsageError) console.error(`imgapi: ${error.message}\nTry: imgapi --help`)
  else console.error(isForOperator(error) ? error.message.replace(/^/gm, 'imgapi: ') : error)
  return error instanceof OperatorError ? error.exitCode : EXIT.failed
}

run(fromPredecessor(process.argv.slice(2))).catch(error => {
  process.exitCode = report(error)
})
