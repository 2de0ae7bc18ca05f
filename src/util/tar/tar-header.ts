import { TarError } from './tar-error.ts'

/** The header block of an entry of a tar archive: POSIX ustar, and as GNU tar writes it. */

/** The type of an entry; `device` includes fifos. */
export type EntryType = 'file' | 'link' | 'symlink' | 'directory' | 'device'

/** Names are decoded as Latin-1, byte by byte, because some archives have names that are not UTF-8. */
export interface TarHeader {
  name: string
  type: EntryType
  /** The target of a hard or symbolic link. */
  linkname: string
  /** Bytes of content, the holes of a sparse file included. */
  size: number
  mode: number
  /** Seconds since 1970. */
  mtime: number
}

export const BLOCK = 512

const TYPES: Record<string, EntryType> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'device',
  '4': 'device',
  '5': 'directory',
  '6': 'device',
}

/** Returns the number of bytes between the end of a content and the next block. */
export const padding = (size: number) => (BLOCK - (size % BLOCK)) % BLOCK

export const typeFlag = (block: Buffer) => String.fromCharCode(block[156]!)

/** Parses a header block. `size` is the stored size, without holes. Throws TarError. */
export function readHeader(block: Buffer): TarHeader {
  const flag = typeFlag(block)
  const type = TYPES[flag]
  if (!type) throw new TarError(`the archive has an entry of the unknown type "${flag}"`)
  const isUstar = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isUstar ? readText(block, 345, 155) : ''
  const name = prefix ? `${prefix}/${readText(block, 0, 100)}` : readText(block, 0, 100)
  return {
    name,
    // Archives older than POSIX mark directories by a slash at the end of the name only.
    type: (flag === '0' || flag === '\0') && name.endsWith('/') ? 'directory' : type,
    linkname: readText(block, 157, 100),
    size: readNumber(block, 124, 12),
    mode: readNumber(block, 100, 8) & 0o7777,
    mtime: readNumber(block, 136, 12),
  }
}

/** Returns a name for messages: decoded as UTF-8, in one line, truncated. */
export const shownName = (name: string) =>
  Buffer.from(name, 'latin1')
    .toString()
    .replace(/\p{Cc}/gu, '?')
    .slice(0, 200)

/** Reads text up to the first zero byte. The string does not retain `bytes`. */
export function readText(bytes: Buffer, start: number, length: number): string {
  const zero = bytes.indexOf(0, start)
  const end = start + length
  return bytes.toString('latin1', start, zero === -1 || zero > end ? end : zero)
}

/** Reads octal digits, or GNU's big-endian number with the highest bit set. Throws TarError. */
export function readNumber(block: Buffer, start: number, length: number): number {
  if (block[start]! & 0x80) {
    // Only the date of a file from before 1970 is negative.
    if (block[start]! === 0xff) return 0
    let value = block[start]! & 0x7f
    for (let i = start + 1; i < start + length; i++) value = value * 256 + block[i]!
    if (!Number.isSafeInteger(value)) throw new TarError('the archive has a number that is too large')
    return value
  }
  const digits = readText(block, start, length).trim()
  if (digits === '') return 0
  if (!/^[0-7]+$/.test(digits)) throw new TarError('the archive has a header that cannot be read')
  return Number.parseInt(digits, 8)
}

/**
 * Compares the checksum of a header with the sum of its bytes, where those of the checksum count as spaces. Throws
 * TarError.
 */
export function checkSum(block: Buffer) {
  let sum = 8 * 0x20
  for (let i = 0; i < 148; i++) sum += block[i]!
  for (let i = 156; i < BLOCK; i++) sum += block[i]!
  if (sum !== Number.parseInt(readText(block, 148, 8).trim(), 8)) {
    throw new TarError('not a tar archive, or a damaged or compressed one')
  }
}
