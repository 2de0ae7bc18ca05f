import type { IncomingHttpHeaders } from 'node:http'
import type { StoredFile } from '../images/image.ts'
import type { Headers } from './respond.ts'

/**
 * A front that sends the bytes of files in our place, as nginx does with sendfile: our answer has no body and
 * a header that says which file. Who may have it was decided here; its length and its ranges are the front's.
 */
export interface Accel {
  header: string
  /** Where the front has the data directory, as nobody but we can ask for. */
  prefix: string
}

export const accelHeaders = (
  accel: Accel | undefined,
  uuid: string,
  { name }: StoredFile,
): Headers | undefined => accel && { [accel.header]: `${accel.prefix}/${uuid}/${encodeURIComponent(name)}` }

/**
 * Not where the front would judge otherwise: it compares conditions with an ETag and a date of its own, and
 * answers a range that we pass over (several at once, nonsense) with parts or a refusal.
 */
export function canBeLeftToFront(headers: IncomingHttpHeaders, isRange: boolean): boolean {
  const isConditional = Object.keys(headers).some(name => name.startsWith('if-'))
  return !isConditional && (isRange || headers.range === undefined)
}
