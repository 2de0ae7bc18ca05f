import { z } from 'zod'

/** Rules for values of the config file, with errors that say what is expected. */

/** A whole number. `unit` is appended to the error: ` (seconds)`. */
export const whole = (from: number, to: number, unit = '') => {
  const error = `a whole number from ${from} to ${to}${unit}`
  return z.int({ error }).min(from, { error }).max(to, { error })
}

export const text = z.string({ error: 'text' }).min(1, { error: 'text that is not empty' })

export const url = text.refine(value => URL.canParse(value) && /^https?:/.test(value), {
  error: 'an http or https URL',
})

/** The slowest rate that other servers may send at. */
export const minimumRate = whole(0, Number.MAX_SAFE_INTEGER, ' (bytes)')
  .default(4096)
  .describe(
    'bytes per second that another server must send, on average over `stallTimeout`; 0 means any rate',
  )

export const flag = z.boolean({ error: 'true or false' })

export const choice = <const T extends readonly [string, ...string[]]>(...values: T) =>
  z.enum(values, { error: `one of ${values.map(value => `"${value}"`).join(', ')}` })

/** The common prefix of paths: "/stored-images". */
export const pathPrefix = text.regex(/^(\/[A-Za-z0-9._~-]+)+$/, { error: 'a path such as "/stored-images"' })
