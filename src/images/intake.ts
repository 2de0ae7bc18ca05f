import { extraParameters, ImgapiError, missingBody } from './errors.ts'
import { isFieldName, policyOf } from './fields.ts'
import { checkBounds, JsonError } from './json.ts'
import { isObject } from './rules.ts'
import { isVersionOne, upgradeManifest } from './upgrade.ts'

/** How manifests come in: what a client may send with a create or an import, and what is dropped or refused. */

type Verb = 'create' | 'import'

/** Part of what other servers keep about an image; meaningless in an import. */
const INTERNAL = new Set(['activated', 'expires_at', '_imgapi'])

/**
 * A manifest must be a JSON object. A field that is `null` is a field that was left out: clients that
 * serialise every optional field send it so. Throws ValidationFailed, also for one that is nested too deep or too
 * large: it may come from a list of another server, which is read whatever its images are like.
 */
export function readManifest(body: unknown): Record<string, unknown> {
  if (!isObject(body)) throw missingBody()
  requireBounds(body)
  const given = Object.entries(body).filter(([key, value]) => value !== null && key !== '_imgapi')
  const manifest = Object.fromEntries(given)
  return isVersionOne(manifest) ? upgradeManifest(manifest) : manifest
}

/** Throws InvalidParameter for keys of a body of parameters that mean nothing, such as a typing error. */
export function refuseOtherKeys(body: Record<string, unknown>, known: readonly string[]) {
  const others = Object.keys(body).filter(key => !known.includes(key))
  if (others.length > 0) throw extraParameters(others)
}

function requireBounds(body: unknown) {
  try {
    checkBounds(body)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    throw new ImgapiError('ValidationFailed', `the manifest ${error.message}`)
  }
}

function verdict(key: string, verb: Verb, type: unknown): 'take' | 'ignore' | 'refuse' | 'extra' {
  if (verb === 'import' && INTERNAL.has(key)) return 'ignore'
  // A typo in a new manifest is worth an error; a field that comes with an import is a newer server's.
  if (!isFieldName(key)) return verb === 'create' ? 'refuse' : 'extra'
  const policy = policyOf(key)
  if (policy.zvol && type !== 'zvol') return 'refuse'
  return policy[verb] ?? 'take'
}

/**
 * Sorts the fields of a body into those that make the manifest and those of a newer server that are kept
 * with it. Throws InvalidParameter for those that are not welcome at all.
 */
export function sortFields(body: Record<string, unknown>, verb: Verb) {
  const entries = Object.entries(body).map(([key, value]) => ({
    key,
    value,
    verdict: verdict(key, verb, body.type),
  }))
  const refused = entries.filter(entry => entry.verdict === 'refuse').map(entry => entry.key)
  if (refused.length > 0) throw extraParameters(refused)
  const pick = (wanted: string): Record<string, unknown> =>
    Object.fromEntries(
      entries.filter(entry => entry.verdict === wanted).map(({ key, value }) => [key, value]),
    )
  return { fields: pick('take'), extra: pick('extra') }
}
