import { z } from 'zod'

/** What values of the config file may be; each says what it expects. */

export const whole = (from: number, to: number, unit = '') =>
  z
    .int({ error: `a whole number from ${from} to ${to}${unit}` })
    .min(from, { error: `a whole number from ${from} to ${to}${unit}` })
    .max(to, { error: `a whole number from ${from} to ${to}${unit}` })

export const text = z.string({ error: 'text' }).min(1, { error: 'text that is not empty' })

export const url = text.refine(value => URL.canParse(value) && /^https?:/.test(value), {
  error: 'an http or https URL',
})

export const choice = <const T extends readonly [string, ...string[]]>(...values: T) =>
  z.enum(values, { error: `one of ${values.map(value => `"${value}"`).join(', ')}` })
