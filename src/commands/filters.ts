import type { RemoteImage } from '../client/types.ts'
import type { Query } from '../sources/imgapi/reader.ts'
import { UsageError } from '../util/operator-error.ts'
import { cellOf, isColumn } from './columns.ts'

/** Parses `os=linux name=~debian`. The server applies the filters of ListImages, the client the others. */

export interface Filters {
  query: Query
  matches(image: RemoteImage): boolean
}

interface Filter {
  key: string
  value: string
  operator: '=' | '=~' | '!='
}

/** Throws UsageError for a word that is not a filter. */
export function parseFilters(words: readonly string[]): Filters {
  const filters = words.map(parseFilter)
  const query: Query = {}
  const local: Filter[] = []
  for (const filter of filters) {
    const { key } = filter
    const parameter = toParameter(filter)
    if (parameter === undefined && !isColumn(key)) {
      throw new UsageError(`${key}: no such field; \`imgapi help list\` names some`)
    }
    // The server uses one value per parameter: a second filter on a field is applied locally.
    if (parameter === undefined || Object.hasOwn(query, key)) local.push(filter)
    else query[key] = parameter
  }
  return { query, matches: image => local.every(filter => isMatch(image, filter)) }
}

function parseFilter(word: string): Filter {
  const [, key, operator, value] = /^([^=!~]+)(=~|!=|=)(.*)$/s.exec(word) ?? []
  if (!key || !operator || value === undefined) {
    throw new UsageError(`${word}: expected a filter such as os=smartos, name=~base or type!=lx-dataset`)
  }
  return { key, value, operator: operator as Filter['operator'] }
}

const EXACT = ['state', 'os', 'owner', 'public', 'account', 'billing_tag', 'channel']

/** Returns the value of the parameter of ListImages, undefined if it has no equivalent. */
function toParameter({ key, value, operator }: Filter): string | undefined {
  if (value === '') return undefined
  if (key === 'name' || key === 'version') {
    if (operator === '=~') return `~${value}`
    // A leading ~ would be taken for the operator.
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
