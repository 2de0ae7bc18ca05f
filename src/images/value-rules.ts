import { z } from 'zod'
import { UUID } from './fields.ts'

/** Schemas of values that records and answers have in common. */

export const uuid = z.string().regex(UUID)
/** ISO time in UTC. */
export const time = z.iso.datetime()
export const count = z.int().nonnegative()
