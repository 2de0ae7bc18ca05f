import { readFileSync } from 'node:fs'
import { isFieldName, TEXT_FIELDS } from '../images/fields.ts'
import { similarField } from '../images/lint/fixes.ts'
import { isObject } from '../images/rules.ts'
import { parseManifest } from '../images/written-text.ts'
import { OperatorError, UsageError } from '../util/operator-error.ts'

/** Parses fields of a manifest from words: `name=base os=smartos tags.role=os requirements.min_ram=512`. */

export const fieldsArg = {
  type: 'positional',
  required: false,
  rest: true,
  valueHint: 'FIELD=VALUE',
  description: 'fields of the manifest; tags.KEY=VALUE and requirements.KEY=VALUE set a nested field',
} as const

/** Throws UsageError for a word that is not a field. */
export function parseFields(words: readonly string[]): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  for (const word of words) {
    const equals = word.indexOf('=')
    if (equals < 1) throw new UsageError(`${word}: expected FIELD=VALUE`)
    setField(fields, word.slice(0, equals), word.slice(equals + 1))
  }
  return fields
}

function setField(fields: Record<string, unknown>, name: string, text: string) {
  const [, object, key] = /^(tags|requirements|traits)\.(.+)$/.exec(name) ?? []
  if (object !== undefined && key !== undefined) {
    const values = fields[object] ?? {}
    if (!isObject(values)) throw new UsageError(`${name}: ${object} is already given as a whole`)
    fields[object] = { ...values, [key]: parseValue(text) }
    return
  }
  if (!isFieldName(name)) {
    const suggestion = similarField(name)
    throw new UsageError(`${name}: no such field${suggestion ? `; is it ${suggestion}?` : ''}`)
  }
  // An empty value removes the field.
  fields[name] = text === '' ? null : TEXT_FIELDS.includes(name) ? text : parseValue(text)
}

/** Parses JSON values; any other text is returned as it is. */
function parseValue(text: string): unknown {
  if (!/^(true|false|null|-?\d+|[[{"].*)$/s.test(text)) return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Reads a JSON object from a file, or from stdin for `-`. Throws OperatorError. */
export function readJsonObject(path: string): Record<string, unknown> {
  const value = parseJson(readText(path), path)
  if (!isObject(value)) throw new OperatorError(`${path}: expected a JSON object`)
  return value
}

/** Reads a text file, or stdin for `-`. */
export const readText = (path: string): string => readFileSync(path === '-' ? 0 : path, 'utf8')

function parseJson(text: string, path: string): unknown {
  try {
    return parseManifest(text.replace(/^\uFEFF/, ''))
  } catch {
    throw new OperatorError(`${path}: not valid JSON; \`imgapi lint ${path}\` shows where`)
  }
}
