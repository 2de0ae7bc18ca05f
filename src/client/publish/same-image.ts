import { isDeepStrictEqual } from 'node:util'
import { FIELDS, isFieldName, NO_OWNER } from '../../images/fields.ts'
import type { RemoteImage } from '../types.ts'

/** Compares an image of a server with a manifest. */

/** Fields that the server controls; they do not count as a difference. */
const SERVER_FIELDS = new Set([
  'state',
  'disabled',
  'files',
  'icon',
  'channels',
  'error',
  'activated',
  'expires_at',
])

/** Returns the names of the fields in which manifest and image differ. */
export function differences(manifest: Record<string, unknown>, remote: RemoteImage): string[] {
  const keys = [...new Set([...Object.keys(manifest), ...Object.keys(remote)])]
  return keys.filter(key => !SERVER_FIELDS.has(key) && !isSame(key, manifest[key], remote[key]))
}

function isSame(key: string, here: unknown, there: unknown): boolean {
  // The server sets it on activation unless the manifest has it.
  if (key === 'published_at' && here === undefined) return true
  // In the modes public and private the server replaces the owner and hides operator fields.
  if (key === 'owner' && (there === NO_OWNER || there === undefined || here === undefined)) return true
  if ((key === 'billing_tags' || key === 'traits') && there === undefined) return true
  return isDeepStrictEqual(normalize(key, here), normalize(key, there))
}

/** Converts a value to the type of its field; an empty value becomes undefined. */
function normalize(key: string, value: unknown): unknown {
  const parsed = isFieldName(key) ? FIELDS[key].rule.safeParse(value) : undefined
  const plain = parsed?.success ? parsed.data : value
  const isEmpty = plain === false || plain === '' || plain === null
  const isEmptyObject = typeof plain === 'object' && plain !== null && Object.keys(plain).length === 0
  return isEmpty || isEmptyObject ? undefined : plain
}
