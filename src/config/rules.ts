import { z } from 'zod'

/** What values of the config file may be, with errors that say what is expected. */

/** `unit` as it stands in the error: ` (seconds)`. */
export const whole = (from: number, to: number, unit = '') => {
  const error = `a whole number from ${from} to ${to}${unit}`
  return z.int({ error }).min(from, { error }).max(to, { error })
}

export const text = z.string({ error: 'text' }).min(1, { error: 'text that is not empty' })

export const url = text.refine(value => URL.canParse(value) && /^https?:/.test(value), {
  error: 'an http or https URL',
})

/** Of other servers. */
export const minimumRate = whole(0, Number.MAX_SAFE_INTEGER, ' (bytes)')
  .default(4096)
  .describe(
    'bytes per second that another server must send, on average over `stallTimeout`; 0 means any rate',
  )

export const flag = z.boolean({ error: 'true or false' })

export const choice = <const T extends readonly [string, ...string[]]>(...values: T) =>
  z.enum(values, { error: `one of ${values.map(value => `"${value}"`).join(', ')}` })

/** Below which the paths of something are: "/stored-images". */
export const pathPrefix = text.regex(/^(\/[A-Za-z0-9._~-]+)+$/, { error: 'a path such as "/stored-images"' })
