import fresh from 'fresh'
import { preconditionFailed } from '../images/errors.ts'

/** Conditional requests (RFC 9110, section 13; reference contract, 2.7). */

export interface Resource {
  /** All ETags that match the resource, unquoted; the first one is sent. */
  etags: readonly string[]
  modified?: Date | undefined
}

type Headers = Record<string, string | string[] | undefined>

const headerOf = (headers: Headers, name: string) => {
  const value = headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/**
 * Returns whether a list of ETags names the resource. Quotes are optional, because clients of the reference send ETags
 * without them. The comparison is weak for `If-Match` too, as in the reference: a proxy that compresses makes ETags weak.
 */
const matchesAny = (list: string, etags: readonly string[]) => {
  const sent = { 'if-none-match': list }
  return etags.some(etag => fresh(sent, { etag: `"${etag}"` }) || fresh(sent, { etag }))
}

/** Truncates a time to whole seconds, as HTTP dates have them. */
const seconds = (date: Date) => Math.floor(date.getTime() / 1000) * 1000

const dateOf = (headers: Headers, name: string) => {
  const value = headerOf(headers, name)
  if (value === undefined) return undefined
  const time = Date.parse(value)
  return Number.isNaN(time) ? undefined : time
}

/** Checks `If-Match` and `If-Unmodified-Since`. Throws PreconditionFailed. */
export function checkPreconditions(headers: Headers, { etags, modified }: Resource) {
  const ifMatch = headerOf(headers, 'if-match')
  if (ifMatch !== undefined) {
    if (!matchesAny(ifMatch, etags))
      throw preconditionFailed(`if-match '${ifMatch}' didn't match etag '${etags[0]}'`)
    return
  }
  const unmodifiedSince = dateOf(headers, 'if-unmodified-since')
  if (unmodifiedSince !== undefined && modified && seconds(modified) > unmodifiedSince) {
    throw preconditionFailed(
      `object was modified at '${modified.toUTCString()}'; if-unmodified-since does not hold`,
    )
  }
}

/** Returns whether the copy of the client is current, so that a read is answered with 304. */
export function isNotModified(headers: Headers, { etags, modified }: Resource): boolean {
  const ifNoneMatch = headerOf(headers, 'if-none-match')
  if (ifNoneMatch !== undefined) return matchesAny(ifNoneMatch, etags)
  const modifiedSince = dateOf(headers, 'if-modified-since')
  return modifiedSince !== undefined && modified !== undefined && seconds(modified) <= modifiedSince
}

/** Checks the conditions of a change, where `If-None-Match` must not match. Throws PreconditionFailed. */
export function checkChangeConditions(headers: Headers, resource: Resource) {
  checkPreconditions(headers, resource)
  const ifNoneMatch = headerOf(headers, 'if-none-match')
  if (ifNoneMatch !== undefined && matchesAny(ifNoneMatch, resource.etags)) {
    throw preconditionFailed(`if-none-match '${ifNoneMatch}' matched etag '${resource.etags[0]}'`)
  }
}

/** Returns whether a range may be served: `If-Range` has the ETag or date of the copy that the client has a part of. */
export function rangeApplies(headers: Headers, { etags, modified }: Resource): boolean {
  const ifRange = headerOf(headers, 'if-range')
  if (ifRange === undefined) return true
  // A weak ETag never matches here, because it does not promise identical bytes.
  if (ifRange.startsWith('W/')) return false
  if (ifRange.startsWith('"')) return ifRange === `"${etags[0]}"`
  const date = Date.parse(ifRange)
  if (Number.isNaN(date)) return ifRange === etags[0]
  return modified !== undefined && seconds(modified) === date
}
