import { ImgapiError } from '../images/errors.ts'

/** Conditional requests (RFC 9110, section 13; reference contract, 2.7). */

export interface Resource {
  /** Every ETag that a client may know it by, unquoted; the first is the one that it is sent with. */
  etags: readonly string[]
  modified?: Date | undefined
}

type Headers = Record<string, string | string[] | undefined>

const text = (headers: Headers, name: string) => {
  const value = headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Clients of the reference send its ETags without quotes. */
const listed = (list: string) =>
  list.split(',').map(item =>
    item
      .trim()
      .replace(/^W\//, '')
      .replace(/^"(.*)"$/, '$1'),
  )

const matchesAny = (list: string, etags: readonly string[]) =>
  listed(list).some(etag => etag === '*' || etags.includes(etag))

const failed = (message: string) => new ImgapiError('PreconditionFailed', message)

/** HTTP dates have whole seconds. */
const seconds = (date: Date) => Math.floor(date.getTime() / 1000) * 1000

const dateOf = (headers: Headers, name: string) => {
  const value = text(headers, name)
  if (value === undefined) return undefined
  const time = Date.parse(value)
  return Number.isNaN(time) ? undefined : time
}

/** Throws PreconditionFailed if the resource is not, or no longer, what the client means. */
export function checkPreconditions(headers: Headers, { etags, modified }: Resource) {
  const ifMatch = text(headers, 'if-match')
  if (ifMatch !== undefined) {
    if (!matchesAny(ifMatch, etags)) throw failed(`if-match '${ifMatch}' didn't match etag '${etags[0]}'`)
    return
  }
  const unmodifiedSince = dateOf(headers, 'if-unmodified-since')
  if (unmodifiedSince !== undefined && modified && seconds(modified) > unmodifiedSince) {
    throw failed(`object was modified at '${modified.toUTCString()}'; if-unmodified-since does not hold`)
  }
}

/** The client's copy is still good: 304 for a read. */
export function isNotModified(headers: Headers, { etags, modified }: Resource): boolean {
  const ifNoneMatch = text(headers, 'if-none-match')
  if (ifNoneMatch !== undefined) return matchesAny(ifNoneMatch, etags)
  const modifiedSince = dateOf(headers, 'if-modified-since')
  return modifiedSince !== undefined && modified !== undefined && seconds(modified) <= modifiedSince
}

/** For changes, where `If-None-Match` guards against changing what the client already has. */
export function checkChangeConditions(headers: Headers, resource: Resource) {
  checkPreconditions(headers, resource)
  const ifNoneMatch = text(headers, 'if-none-match')
  if (ifNoneMatch !== undefined && matchesAny(ifNoneMatch, resource.etags)) {
    throw failed(`if-none-match '${ifNoneMatch}' matched etag '${resource.etags[0]}'`)
  }
}

/** Whether a range may be served: `If-Range` names what the client has a part of, by its ETag or date. */
export function rangeApplies(headers: Headers, { etags, modified }: Resource): boolean {
  const ifRange = text(headers, 'if-range')
  if (ifRange === undefined) return true
  // A weak ETag never matches here: two files it names alike need not have the same bytes.
  if (ifRange.startsWith('W/')) return false
  if (ifRange.startsWith('"')) return ifRange === `"${etags[0]}"`
  const date = Date.parse(ifRange)
  if (Number.isNaN(date)) return ifRange === etags[0]
  return modified !== undefined && seconds(modified) === date
}
