import { UUID } from '../images/fields.ts'
import { UsageError } from '../util/operator-error.ts'

export const uuidArg = { type: 'positional', valueHint: 'UUID', description: 'UUID of the image' } as const
export const uuidsArg = { ...uuidArg, rest: true, description: 'UUIDs of one or more images' } as const

/** Checks a UUID before it is sent; accepts upper case, which other tools print. Throws UsageError. */
export function readUuid(given: string, what = 'the UUID of an image'): string {
  const uuid = given.toLowerCase()
  if (UUID.test(uuid)) return uuid
  throw new UsageError(`${given}: expected ${what}`)
}
