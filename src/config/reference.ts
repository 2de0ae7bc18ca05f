import { z } from 'zod'
import { Schema } from './config.ts'

/** The keys of the config file as documentation lists them: for `imgapi help config`, the manual page and the tables. */

export interface ConfigKey {
  /** With the keys around it: `mirrors[].include[].name`. */
  name: string
  isRequired: boolean
  /** As JSON has it; absent if there is none, or if it is empty. */
  default?: string
  /** The only values, if there are a few. */
  values: readonly string[]
  meaning: string
}

/** What JSON Schema says of a key. */
interface Described {
  description?: string
  default?: unknown
  enum?: string[]
  required?: string[]
  properties?: Record<string, Described>
  items?: Described
}

/** Lists every key in the order of the schema, each followed by the keys within it. */
export function listConfigKeys(): ConfigKey[] {
  const schema = z.toJSONSchema(Schema, { io: 'input' }) as Described
  return keysWithin('', schema)
}

function keysWithin(prefix: string, { properties = {}, required = [] }: Described): ConfigKey[] {
  return Object.entries(properties).flatMap(([key, schema]) => {
    const name = `${prefix}${key}`
    const { default: value, description, enum: values = [], items } = schema
    const isShown = typeof value !== 'object' && value !== undefined && value !== ''
    const own: ConfigKey = {
      name,
      isRequired: required.includes(key),
      ...(isShown && { default: String(value) }),
      values,
      meaning: description ?? '',
    }
    return [own, ...keysWithin(`${name}.`, schema), ...keysWithin(`${name}[].`, items ?? {})]
  })
}
