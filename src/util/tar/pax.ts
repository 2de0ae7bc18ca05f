import { TarError } from './tar-error.ts'

/** The fields of a pax header, which apply to the next entry. Others, as extended attributes, are ignored. */
export interface PaxFields {
  name?: string
  linkname?: string
  size?: number
  mtime?: number
  sparse?: PaxSparse
}

/** GNU's sparse files, in the versions 0.0, 0.1 and 1.0 of their format. */
export interface PaxSparse {
  /** In version 1.0 the map is at the start of the content. */
  isInContent: boolean
  size?: number
  name?: string
  /** Offset and length of each part that is not a hole, in turn. */
  map: number[]
}

/** Keys longer than this are none that is read. */
const LONGEST_KEY = 32

/** Parses lines `LENGTH KEY=VALUE\n`. The result does not retain `bytes`. Throws TarError. */
export function readPax(bytes: Buffer): PaxFields {
  const fields: PaxFields = {}
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at)
    const length = space > at && space - at < 10 ? Number(bytes.toString('latin1', at, space)) : Number.NaN
    const end = at + length
    const equals = bytes.indexOf(0x3d, space)
    if (!(length > 0) || end > bytes.length || equals === -1 || equals >= end || bytes[end - 1] !== 0x0a) {
      throw new TarError('the archive has a header that cannot be read')
    }
    if (equals - space <= LONGEST_KEY) {
      const key = bytes.toString('latin1', space + 1, equals)
      setField(fields, key, () => bytes.toString('latin1', equals + 1, end - 1))
    }
    at = end
  }
  return fields
}

function setField(fields: PaxFields, key: string, value: () => string) {
  if (key === 'path') fields.name = value()
  else if (key === 'linkpath') fields.linkname = value()
  else if (key === 'size') fields.size = wholeNumber(value())
  else if (key === 'mtime') fields.mtime = Math.floor(Number(value())) || 0
  else if (key.startsWith('GNU.sparse.')) {
    fields.sparse ??= { isInContent: false, map: [] }
    setSparse(fields.sparse, key.slice('GNU.sparse.'.length), value())
  }
}

function setSparse(sparse: PaxSparse, key: string, value: string) {
  if (key === 'size' || key === 'realsize') sparse.size = wholeNumber(value)
  else if (key === 'name') sparse.name = value
  else if (key === 'offset' || key === 'numbytes') sparse.map.push(wholeNumber(value))
  else if (key === 'map') sparse.map = value.split(',').map(wholeNumber)
  else if (key === 'major') sparse.isInContent = wholeNumber(value) === 1
}

/** Parses a decimal number. Throws TarError if it is not a safe whole number. */
export function wholeNumber(digits: string): number {
  const found = /^\d{1,16}$/.test(digits) ? Number(digits) : Number.NaN
  if (!Number.isSafeInteger(found)) {
    throw new TarError(`the archive has "${digits.slice(0, 30)}" where a number must be`)
  }
  return found
}
