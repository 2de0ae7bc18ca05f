import { z } from 'zod'
import { HttpError } from './errors.ts'
import type { Acl } from './record.ts'
import type { ImportRequest } from './requests.ts'

/** Parsers for the bodies and parameters of requests. */

const MOST_IDS = 1000
/** 2^32-1 means "no user" to the system. */
const LARGEST_ID = 2 ** 32 - 2
const MOST_ROWS = 10_000

/** Accepts `"1000,1001"`, a number or a list. */
const Ids = z
  .union([z.string(), z.int(), z.array(z.union([z.string(), z.int()]))])
  .nullish()
  .transform(given => [given ?? ''].flat().join(','))
  .pipe(z.string().regex(/^\s*(\d{1,10}(\s*,\s*\d{1,10})*)?\s*$/))
  .transform(text => (text.trim() === '' ? [] : text.split(',').map(Number)))
  .pipe(z.array(z.number().max(LARGEST_ID)).max(MOST_IDS))

const Lists = z.object({ allowed_uids: Ids, allowed_gids: Ids })
const Import = z.object({ filepath: z.string().min(1), format: z.string().min(1) })

/** Parses the requested lists of users and groups. Throws HttpError. */
export function parseAcl(body: unknown): Acl {
  const result = Lists.safeParse(body ?? {})
  if (!result.success) {
    throw new HttpError(400, 'allowed_uids and allowed_gids must be numbers separated by commas')
  }
  return { userACL: result.data.allowed_uids, groupACL: result.data.allowed_gids }
}

/** Parses the file and the format of an import. Throws HttpError. */
export function parseImport(body: unknown): ImportRequest {
  const result = Import.safeParse(body ?? {})
  if (!result.success) throw new HttpError(400, 'filepath and format are required')
  return result.data
}

/** Parses the number of rows of a list, 10 by default. Throws HttpError. */
export function parseLimit(text: string | null): number {
  const limit = text === null ? 10 : Number(text)
  if (!/^\d{1,9}$/.test(text ?? '10')) throw new HttpError(400, 'limit must be a number')
  return Math.min(limit, MOST_ROWS)
}
