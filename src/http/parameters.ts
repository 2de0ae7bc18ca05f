import { z } from 'zod'
import { invalidParameter } from '../images/errors.ts'
import type { Query } from './query.ts'

/** Parameters of the query: how each is read, checked and documented. */

export interface Parameter<T> {
  readonly description: string
  /** Schema of the value, for the documentation. */
  readonly schema: z.ZodType
  /** Whether it may be given several times. */
  readonly isRepeated?: boolean
  /** Reads and checks the value. Throws InvalidParameter. */
  read(query: Query, name: string): T
}

export type Parameters = Readonly<Record<string, Parameter<unknown>>>

/** The values of parameters, as `handle` gets them. */
export type Values<Q extends Parameters> = { readonly [Name in keyof Q]: ReturnType<Q[Name]['read']> }

/** Any text. An empty one counts as absent in reads and is refused in changes. */
export const text = (description: string): Parameter<string | undefined> => ({
  description,
  schema: z.string(),
  read: (query, name) => query.get(name),
})

/** Any text, for a parameter that the operation requires with an error of its own. An empty one counts as absent. */
export const needed = (description: string): Parameter<string | undefined> => ({
  ...text(description),
  read: (query, name) => query.nonEmpty(name),
})

/** `true` or `false`. */
export const flag = (description: string): Parameter<boolean | undefined> => ({
  description,
  schema: z.enum(['true', 'false']),
  read: (query, name) => query.flag(name),
})

/** One of the given words. Others are refused with `message`. */
export const oneOf = <const T extends readonly [string, ...string[]]>(
  description: string,
  values: T,
  message: (given: string) => string,
): Parameter<T[number] | undefined> => ({
  description,
  schema: z.enum(values),
  read: (query, name) => {
    const given = query.get(name)
    if (given === undefined || values.includes(given)) return given
    throw invalidParameter(name, message(given))
  },
})

/** A parameter that may be given more than once. */
export const repeated = (description: string): Parameter<string[]> => ({
  description,
  schema: z.string(),
  isRepeated: true,
  read: (query, name) => query.all(name),
})

/** A whole number that is not negative. */
export const wholeNumber = (description: string): Parameter<number | undefined> => ({
  description,
  schema: z.int().nonnegative(),
  read: (query, name) => {
    const given = query.get(name)
    if (given === undefined) return undefined
    const value = Number(given)
    if (!Number.isInteger(value) || value < 0) throw invalidParameter(name, `invalid ${name}: "${given}"`)
    return value
  },
})

/** Reads and checks parameters in the order of their declaration. Throws InvalidParameter. */
export function readParameters(declared: Parameters | undefined, query: Query): Record<string, unknown> {
  if (!declared) return NONE
  const values: Record<string, unknown> = {}
  for (const name in declared) values[name] = declared[name]!.read(query, name)
  return values
}

const NONE: Record<string, unknown> = Object.freeze({})

/**
 * The `action` of an operation that is selected when no other of the same method and path matches: absent, or one of
 * `values`. Others are refused.
 */
export const actionOf = (...values: readonly string[]): Parameter<string | undefined> => ({
  description: values.length > 0 ? values.join(', ') : 'an action selects another operation',
  schema: z.enum(values as [string, ...string[]]),
  read: (query, name) => {
    const given = query.get(name)
    if (given === undefined || values.includes(given)) return given
    throw invalidParameter(name, `"${given}" is not a valid action`)
  },
})
