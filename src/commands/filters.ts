import type { Query } from '../client/client.ts'
import type { RemoteImage } from '../client/types.ts'
import { cellOf, isColumn } from './columns.ts'
import { UsageError } from './command.ts'

/** `os=linux name=~debian`: what the server can choose it chooses, the rest is chosen here. */

export interface Filters {
  query: Query
  matches(image: RemoteImage): boolean
}

interface Filter {
  key: string
  value: string
  operator: '=' | '=~' | '!='
}

export function parseFilters(words: readonly string[]): Filters {
  const filters = words.map(parseFilter)
  const query: Query = {}
  const here: Filter[] = []
  for (const filter of filters) {
    const { key } = filter
    const parameter = toParameter(filter)
    if (parameter === undefined && !isColumn(key)) {
      throw new UsageError(`${key}: there is no such field; \`imgapi help list\` names some`)
    }
    // A parameter counts once: the second filter on a field is applied here.
    if (parameter === undefined || Object.hasOwn(query, key)) here.push(filter)
    else query[key] = parameter
  }
  return { query, matches: image => here.every(filter => isMatch(image, filter)) }
}

function parseFilter(word: string): Filter {
  const [, key, operator, value] = /^([^=!~]+)(=~|!=|=)(.*)$/s.exec(word) ?? []
  if (!key || !operator || value === undefined) {
    throw new UsageError(`${word}: expected a filter such as os=smartos, name=~base or type!=lx-dataset`)
  }
  return { key, value, operator: operator as Filter['operator'] }
}

const EXACT = ['state', 'os', 'owner', 'public', 'account', 'billing_tag', 'channel']

/** As ListImages takes it; undefined if it does not. */
function toParameter({ key, value, operator }: Filter): string | undefined {
  if (value === '') return undefined
  if (key === 'name' || key === 'version') {
    if (operator === '=~') return `~${value}`
    // It would be taken for the operator.
    return operator === '=' && !value.startsWith('~') ? value : undefined
  }
  if (key === 'type') return operator === '=' ? value : operator === '!=' ? `!${value}` : undefined
  const isExact = EXACT.includes(key) || key.startsWith('tag.')
  return isExact && operator === '=' ? value : undefined
}

function isMatch(image: RemoteImage, { key, value, operator }: Filter): boolean {
  const cell = cellOf(image, key)
  if (operator === '=~') return cell.includes(value)
  return (cell === value) === (operator === '=')
}
