import { extraParameters, invalidData, missingBody } from './errors.ts'
import { isFieldName, policyOf } from './fields.ts'
import { checkBounds, JsonError } from './json.ts'
import { isObject } from './rules.ts'
import { isVersionOne, upgradeManifest } from './upgrade.ts'

/** Reads manifests from clients: which fields a create or an import accepts, ignores or refuses. */

type Verb = 'create' | 'import'

/** Internal fields of other servers, ignored in an import. */
export const INTERNAL: ReadonlySet<string> = new Set(['activated', 'expires_at', '_imgapi'])

/**
 * Reads a manifest, which must be a JSON object. A field that is `null` counts as absent, since some clients serialise
 * every optional field. Throws ValidationFailed, also if it is nested too deep or too large, which is not checked when
 * it comes from the list of another server.
 */
export function readManifest(body: unknown): Record<string, unknown> {
  if (!isObject(body)) throw missingBody()
  requireBounds(body)
  const given = Object.entries(body).filter(([key, value]) => value !== null && key !== '_imgapi')
  const manifest = Object.fromEntries(given)
  return isVersionOne(manifest) ? upgradeManifest(manifest) : manifest
}

/** Throws InvalidParameter for unknown keys in a body of parameters, such as a typing error. */
export function refuseOtherKeys(body: Record<string, unknown>, known: readonly string[]) {
  const others = Object.keys(body).filter(key => !known.includes(key))
  if (others.length > 0) throw extraParameters(others)
}

function requireBounds(body: unknown) {
  try {
    checkBounds(body)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    throw invalidData(`the manifest ${error.message}`)
  }
}

/** Decides about one field of a body. */
function verdict(key: string, verb: Verb, type: unknown): 'accept' | 'ignore' | 'refuse' | 'extra' {
  if (verb === 'import' && INTERNAL.has(key)) return 'ignore'
  // In a new manifest an unknown field is a typing error; in an import it may be a field of a newer server.
  if (!isFieldName(key)) return verb === 'create' ? 'refuse' : 'extra'
  const policy = policyOf(key)
  if (policy.zvol && type !== 'zvol') return 'refuse'
  return policy[verb] ?? 'accept'
}

/**
 * Splits the fields of a body into known ones and extra ones, which may come from a newer server and are stored
 * unchanged. Throws InvalidParameter for refused fields.
 */
export function sortFields(body: Record<string, unknown>, verb: Verb) {
  const entries = Object.entries(body).map(([key, value]) => ({
    key,
    value,
    verdict: verdict(key, verb, body.type),
  }))
  const refused = entries.filter(entry => entry.verdict === 'refuse').map(entry => entry.key)
  if (refused.length > 0) throw extraParameters(refused)
  const pick = (kind: string): Record<string, unknown> =>
    Object.fromEntries(entries.filter(entry => entry.verdict === kind).map(({ key, value }) => [key, value]))
  return { fields: pick('accept'), extra: pick('extra') }
}
