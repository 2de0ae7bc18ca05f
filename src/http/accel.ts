import type { IncomingHttpHeaders } from 'node:http'
import type { StoredFile } from '../images/image.ts'
import type { Headers } from './respond.ts'

/**
 * A front that sends the bytes of files instead of this server, as nginx does with sendfile: the answer of this server
 * has no body and a header that names the file. This server checks access; the front sets the length and serves ranges.
 */
export interface Accel {
  header: string
  /** Path under which the front serves the data directory; only this server can request it. */
  prefix: string
}

/** Returns the header that names a file to the front; undefined without a front. */
export const accelHeaders = (
  accel: Accel | undefined,
  uuid: string,
  { name }: StoredFile,
): Headers | undefined => accel && { [accel.header]: `${accel.prefix}/${uuid}/${encodeURIComponent(name)}` }

/**
 * Returns whether the front answers the request as this server does. It does not if the request has conditions, which
 * the front compares with an ETag and a date of its own, or a range that this server ignores (several ranges, invalid
 * syntax), which the front answers with several parts or refuses.
 */
export function canBeLeftToFront(headers: IncomingHttpHeaders, isRange: boolean): boolean {
  const isConditional = Object.keys(headers).some(name => name.startsWith('if-'))
  return !isConditional && (isRange || headers.range === undefined)
}
