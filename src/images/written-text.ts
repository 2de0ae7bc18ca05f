import { visit } from 'jsonc-parser'
import { TEXT_FIELDS } from './fields.ts'
import { parseJson } from './json.ts'
import { isObject } from './rules.ts'

/**
 * Restores text fields that a manifest's JSON has as numbers, as in `"version": 1.0`. Parsing makes that 1, and a
 * number of twenty digits loses the last ones, so the value comes from the JSON text.
 */

/** Returns `value`, which was parsed from `text`, with the numbers in text fields as written there. */
export function withWrittenText(value: unknown, text: string): unknown {
  if (!isObject(value)) return value
  const numbers = TEXT_FIELDS.filter(name => typeof value[name] === 'number')
  if (numbers.length === 0) return value
  const written: Record<string, unknown> = {}
  visit(text, {
    onLiteralValue: (_literal, offset, length, _line, _column, path) => {
      const [name = '', ...within] = path()
      if (within.length === 0) written[name] = text.slice(offset, offset + length)
    },
  })
  return { ...value, ...Object.fromEntries(numbers.map(name => [name, written[name]])) }
}

/** Parses a manifest, or a body that may be one. Throws JsonError. */
export const parseManifest = (text: string): unknown => withWrittenText(parseJson(text), text)
