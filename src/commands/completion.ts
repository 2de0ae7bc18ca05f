import { UsageError } from '../util/operator-error.ts'
import { type Arg, aliasesOf, type Command, command } from './command.ts'

/** Generates shell completion from the command definitions, so that it is always complete. */

const SHELLS = ['bash', 'zsh', 'fish'] as const

/** Makes the completion command. `commands` is a function because its result includes this command. */
export const completionFor = (commands: () => Record<string, Command>): Command =>
  command({
    meta: { name: 'completion', description: 'Print the shell code that completes commands and flags' },
    args: {
      shell: { type: 'positional', valueHint: SHELLS.join('|'), description: 'the shell', complete: SHELLS },
    },
    examples: [
      'source <(imgapi completion bash)',
      'imgapi completion zsh > ~/.zfunc/_imgapi',
      'imgapi completion fish > ~/.config/fish/completions/imgapi.fish',
    ],
    async run({ shell }) {
      const print = { bash, zsh, fish }[shell as (typeof SHELLS)[number]]
      if (!Object.hasOwn({ bash, zsh, fish }, shell))
        throw new UsageError(`${shell}: expected ${SHELLS.join(', ')}`)
      console.log(print(Object.values(commands())))
    },
  })

interface Flag {
  name: string
  aliases: string[]
  description: string
  takesValue: boolean
  complete: Arg['complete']
}

const HELP: Flag = {
  name: 'help',
  aliases: ['h'],
  description: 'show help',
  takesValue: false,
  complete: undefined,
}

const flagsOf = ({ args }: Command): Flag[] => [
  ...Object.entries(args)
    .filter(([, { type }]) => type !== 'positional')
    .map(([name, arg]) => ({
      name,
      aliases: aliasesOf(arg),
      description: arg.description ?? '',
      takesValue: arg.type !== 'boolean',
      complete: arg.complete,
    })),
  HELP,
]

const positionalsOf = ({ args }: Command) => Object.values(args).filter(({ type }) => type === 'positional')

/** Returns the words that a command accepts as positionals. */
const wordsOf = (own: Command) =>
  positionalsOf(own).flatMap(({ complete }) => (Array.isArray(complete) ? complete : []))
const takesFiles = (own: Command) => positionalsOf(own).some(({ complete }) => complete === 'file')

const spellings = ({ name, aliases }: Flag) => [...aliases.map(alias => `-${alias}`), `--${name}`]

/** Returns what may follow `imgapi help`. */
const topicsOf = (names: readonly string[]) => [...names, 'config'].join(' ')

/** Quotes text for a POSIX shell. */
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

function bash(commands: Command[]): string {
  const names = commands.map(({ meta }) => meta.name)
  const cases = commands.map(own => {
    const flags = flagsOf(own)
    const values = flags
      .filter(({ takesValue }) => takesValue)
      .map(flag => {
        const reply =
          flag.complete === 'file'
            ? 'compopt -o default; return'
            : `COMPREPLY=($(compgen -W ${quoted((flag.complete ?? []).join(' '))} -- "$cur")); return`
        return `        ${spellings(flag).join('|')}) ${reply} ;;`
      })
    const words = [...wordsOf(own), ...(own.meta.name === 'help' ? names : [])]
    return [
      `    ${own.meta.name})`,
      '      case "$prev" in',
      ...values,
      '      esac',
      `      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W ${quoted(flags.flatMap(spellings).join(' '))} -- "$cur")); return; fi`,
      takesFiles(own)
        ? '      compopt -o default'
        : `      COMPREPLY=($(compgen -W ${quoted(words.join(' '))} -- "$cur"))`,
      '      ;;',
    ].join('\n')
  })
  return `# imgapi completion for bash: source <(imgapi completion bash)
_imgapi() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W ${quoted([...names, 'help', '--help', '--version'].join(' '))} -- "$cur"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
    help) COMPREPLY=($(compgen -W ${quoted(topicsOf(names))} -- "$cur")) ;;
${cases.join('\n')}
  esac
}
complete -F _imgapi imgapi`
}

/** Escapes brackets and colons, which are special in specifications of zsh's _arguments. */
const forZsh = (text: string) => text.replace(/([[\]:\\])/g, '\\$1')

function zsh(commands: Command[]): string {
  const described = commands.map(({ meta }) => `    ${quoted(`${meta.name}:${forZsh(meta.description)}`)}`)
  const cases = commands.map(own => {
    const specs = flagsOf(own).flatMap(flag =>
      spellings(flag).map(spelling => {
        const values = Array.isArray(flag.complete)
          ? `(${flag.complete.join(' ')})`
          : flag.complete
            ? '_files'
            : ''
        const value = flag.takesValue ? `:${flag.name}:${values}` : ''
        return `        ${quoted(`${spelling}[${forZsh(flag.description)}]${value}`)}`
      }),
    )
    const words = wordsOf(own)
    const rest = takesFiles(own) ? '_files' : words.length > 0 ? `(${words.join(' ')})` : ''
    return [
      `    ${own.meta.name})`,
      '      _arguments -s \\',
      ...specs.map(spec => `${spec} \\`),
      `        ${quoted(`*:argument:${rest}`)}`,
      '      ;;',
    ].join('\n')
  })
  return `#compdef imgapi
# imgapi completion for zsh: imgapi completion zsh > ~/.zfunc/_imgapi
_imgapi() {
  local -a commands
  commands=(
${described.join('\n')}
    'help:Show help'
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
    help) commands+=('config:The keys of the config file'); _describe command commands ;;
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _imgapi ]]; then _imgapi "$@"; else compdef _imgapi imgapi; fi`
}

function fish(commands: Command[]): string {
  const lines = commands.flatMap(own => {
    const { name, description } = own.meta
    const within = `complete -c imgapi -n ${quoted(`__fish_seen_subcommand_from ${name}`)}`
    const words = wordsOf(own)
    return [
      `complete -c imgapi -n __fish_use_subcommand -a ${name} -d ${quoted(description)}`,
      ...flagsOf(own).map(flag => {
        const short = flag.aliases.map(alias => ` -s ${alias}`).join('')
        const values = Array.isArray(flag.complete) ? ` -a ${quoted(flag.complete.join(' '))}` : ''
        const value = flag.takesValue ? (flag.complete === 'file' ? ' -r -F' : ` -x${values}`) : ''
        return `${within} -l ${flag.name}${short}${value} -d ${quoted(flag.description)}`
      }),
      ...(words.length > 0 ? [`${within} -a ${quoted(words.join(' '))}`] : []),
      ...(takesFiles(own) ? [`${within} -F`] : []),
    ]
  })
  const names = commands.map(({ meta }) => meta.name)
  return `# imgapi completion for fish: imgapi completion fish > ~/.config/fish/completions/imgapi.fish
complete -c imgapi -f
complete -c imgapi -n __fish_use_subcommand -a help -d 'Show help'
complete -c imgapi -n '__fish_seen_subcommand_from help' -a ${quoted(topicsOf(names))}
${lines.join('\n')}`
}
