import { z } from 'zod'

/** Helpers that the field rules share. */

/** Renders JSON as `util.format('%j')` does, which the reference's messages contain. */
export const json = (value: unknown) => JSON.stringify(value)
/** Renders an invalid value for a message; an absent one is `undefined`. */
export const text = (value: unknown) =>
  typeof value === 'object' && value !== null ? json(value) : String(value)

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Converts text such as `"5"` to a number; returns any other value unchanged, for the rule to check. */
export const numeric = (value: unknown) =>
  typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value

/**
 * Converts a number or a flag to text; returns any other value unchanged, for the rule to check. Clients that parse
 * `version=1` as JSON, as imgadm does with its arguments, send a number for a text field.
 */
export const asText = (value: unknown) =>
  typeof value === 'number' || typeof value === 'boolean' ? String(value) : value

/** Returns a function that applies `asText` to these keys of each object in a list. */
export const textsIn =
  (...keys: string[]) =>
  (value: unknown) =>
    Array.isArray(value) ? value.map(item => (isObject(item) ? withTexts(item, keys) : item)) : value

const withTexts = (item: Record<string, unknown>, keys: string[]) =>
  Object.fromEntries(
    Object.entries(item).map(([key, value]) => [key, keys.includes(key) ? asText(value) : value]),
  )

export const objectOf = (field: string) =>
  z.custom<Record<string, unknown>>(isObject, {
    error: issue => `invalid image "${field}" (not an object): ${json(issue.input)}`,
    abort: true,
  })
