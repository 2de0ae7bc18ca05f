import { isDeepStrictEqual } from 'node:util'
import { FIELDS, isFieldName, NO_OWNER } from '../../images/fields.ts'
import type { RemoteImage } from '../types.ts'

/** Whether what is on a server is what a manifest says. */

/** What a server makes, sets later, or moves: nothing of it is in the manifest's hands. */
const OF_SERVER = new Set([
  'state',
  'disabled',
  'files',
  'icon',
  'channels',
  'error',
  'activated',
  'expires_at',
])

/** Fields in which they differ, in the order of the table of fields. */
export function differences(manifest: Record<string, unknown>, remote: RemoteImage): string[] {
  const keys = [...new Set([...Object.keys(manifest), ...Object.keys(remote)])]
  return keys.filter(key => !OF_SERVER.has(key) && !isSame(key, manifest[key], remote[key]))
}

function isSame(key: string, here: unknown, there: unknown): boolean {
  // Set when it was activated, unless the manifest said otherwise.
  if (key === 'published_at' && here === undefined) return true
  // Servers of the modes public and private own everything themselves, and hide what is an operator's.
  if (key === 'owner' && (there === NO_OWNER || there === undefined || here === undefined)) return true
  if ((key === 'billing_tags' || key === 'traits') && there === undefined) return true
  return isDeepStrictEqual(typed(key, here), typed(key, there))
}

/** `"2"` is 2 and `"true"` true where the field is; what is empty is as good as absent. */
function typed(key: string, value: unknown): unknown {
  const parsed = isFieldName(key) ? FIELDS[key].rule.safeParse(value) : undefined
  const plain = parsed?.success ? parsed.data : value
  const isEmpty = plain === false || plain === '' || plain === null
  const isHollow = typeof plain === 'object' && plain !== null && Object.keys(plain).length === 0
  return isEmpty || isHollow ? undefined : plain
}
