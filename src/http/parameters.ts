import { z } from 'zod'
import { invalidParameter } from '../images/errors.ts'
import type { Query } from './query.ts'

/** Parameters of the query: how each is read and checked, and what the documentation says of it. */

export interface Parameter<T> {
  readonly description: string
  /** Of the text, for the documentation. */
  readonly schema: z.ZodType
  /** Given several times, its values add up. */
  readonly isRepeated?: boolean
  /** Throws InvalidParameter. */
  read(query: Query, name: string): T
}

export type Parameters = Readonly<Record<string, Parameter<unknown>>>

/** What `handle` gets of them. */
export type Values<Q extends Parameters> = { readonly [Name in keyof Q]: ReturnType<Q[Name]['read']> }

/** Any text. An empty one counts as absent where nothing changes, and is refused where something does. */
export const text = (description: string): Parameter<string | undefined> => ({
  description,
  schema: z.string(),
  read: (query, name) => query.get(name),
})

/** The same for a parameter without which the operation refuses the request in words of its own. */
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

/** One of some words; throws InvalidParameter with `describe`'s message for another. */
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

/** A whole number from 0 on. */
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

/** Reads and checks the declared parameters, in the order of their declaration. Throws InvalidParameter. */
export function readParameters(declared: Parameters | undefined, query: Query): Record<string, unknown> {
  if (!declared) return NONE
  const values: Record<string, unknown> = {}
  for (const name in declared) values[name] = declared[name]!.read(query, name)
  return values
}

const NONE: Record<string, unknown> = Object.freeze({})

/**
 * The `action` of the operation that is meant when no other of the same method and path is: one of `values`, or
 * none at all. Throws InvalidParameter for any other, an empty one included.
 */
export const actionOf = (...values: readonly string[]): Parameter<string | undefined> => ({
  description: values.length > 0 ? values.join(', ') : 'an action makes another operation of this',
  schema: z.enum(values as [string, ...string[]]),
  read: (query, name) => {
    const given = query.get(name)
    if (given === undefined || values.includes(given)) return given
    throw invalidParameter(name, `"${given}" is not a valid action`)
  },
})
