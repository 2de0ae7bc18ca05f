import { z } from 'zod'

/** Small pieces that the field rules share. */

/** JSON as `util.format('%j')` shows it, which is what the reference's messages contain. */
export const json = (value: unknown) => JSON.stringify(value)
/** The value at fault, for a message; an absent one reads `undefined`. */
export const text = (value: unknown) =>
  typeof value === 'object' && value !== null ? json(value) : String(value)

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** `"5"` is 5; anything else is left for the rule to judge. */
export const numeric = (value: unknown) =>
  typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value

/**
 * A number or a flag as its text; anything else is left for the rule to judge. Clients that read `version=1` as
 * JSON, as imgadm does with its arguments, send a number where a manifest has text.
 */
export const asText = (value: unknown) =>
  typeof value === 'number' || typeof value === 'boolean' ? String(value) : value

/** A list of objects, with these keys of theirs as text. */
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
