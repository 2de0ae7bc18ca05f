import { listConfigKeys } from '../config/reference.ts'

/** `imgapi help config`: every key of the config file, for a terminal of 80 columns. */

const WIDTH = 80
const INDENT = ' '.repeat(6)

const INTRODUCTION =
  'The config file is a JSON object. Only datadir is required. Relative paths start at the folder of the file. An unknown key or an invalid value is an error when the server starts.'

export function configHelp(): string {
  const keys = listConfigKeys().map(({ name, isRequired, default: value, values, meaning }) => {
    const remark = isRequired ? '  (required)' : value === undefined ? '' : `  (default: ${value})`
    const choices = values.length > 0 ? [`One of ${values.join(', ')}.`] : []
    return [
      `  ${name}${remark}`,
      ...[...choices, sentence(meaning)].flatMap(text => wrap(text, INDENT)),
    ].join('\n')
  })
  const example = '  {"datadir": "/var/imgapi", "userdb": [{"name": "admin", "password": "..."}]}'
  return [...wrap(INTRODUCTION, ''), '', 'EXAMPLE', '', example, '', 'KEYS', '', keys.join('\n\n'), ''].join(
    '\n',
  )
}

/** Descriptions are written for table cells. Backquotes mark code, which a terminal does not show. */
const sentence = (meaning: string) =>
  `${meaning.charAt(0).toUpperCase()}${meaning.slice(1)}.`.replaceAll('`', '')

/** Breaks text into lines of at most WIDTH columns, as far as its words allow. */
function wrap(text: string, indent: string): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= WIDTH)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(indent + word)
  }
  return lines
}
