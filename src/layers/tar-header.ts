import { TarError } from './tar-error.ts'

/** The block that begins an entry of a tar archive: POSIX ustar, and as GNU tar writes it. */

/** What an entry is, in the words of stat; a device may also be a fifo. */
export type EntryType = 'file' | 'link' | 'symlink' | 'directory' | 'device'

/** Names are kept byte by byte, as latin-1: layers have names that are not UTF-8. */
export interface TarHeader {
  name: string
  type: EntryType
  /** Of a link: the name of what it leads to. */
  linkname: string
  /** Bytes of content, with the holes of a sparse file. */
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

/** Bytes between the end of the content and the next block. */
export const padding = (size: number) => (BLOCK - (size % BLOCK)) % BLOCK

export const typeFlag = (block: Buffer) => String.fromCharCode(block[156]!)

/** `size` is what the archive holds for the entry. Throws TarError. */
export function readHeader(block: Buffer): TarHeader {
  const flag = typeFlag(block)
  const type = TYPES[flag]
  if (!type) throw new TarError(`the archive has an entry of the unknown type "${flag}"`)
  const isUstar = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isUstar ? readText(block, 345, 155) : ''
  const name = prefix ? `${prefix}/${readText(block, 0, 100)}` : readText(block, 0, 100)
  return {
    name,
    // Before there were types, a slash told directories.
    type: (flag === '0' || flag === '\0') && name.endsWith('/') ? 'directory' : type,
    linkname: readText(block, 157, 100),
    size: readNumber(block, 124, 12),
    mode: readNumber(block, 100, 8) & 0o7777,
    mtime: readNumber(block, 136, 12),
  }
}

/** Up to the first zero. The string holds on to nothing else. */
export function readText(bytes: Buffer, start: number, length: number): string {
  const zero = bytes.indexOf(0, start)
  const end = start + length
  return bytes.toString('latin1', start, zero === -1 || zero > end ? end : zero)
}

/** Octal digits, or GNU's big-endian number with the highest bit set. Throws TarError. */
export function readNumber(block: Buffer, start: number, length: number): number {
  if (block[start]! & 0x80) {
    // Negative is the date of a file from before 1970, and nothing else.
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

/** The sum of all bytes of the header, those of the sum itself counted as blanks. Throws TarError. */
export function checkSum(block: Buffer) {
  let sum = 8 * 0x20
  for (let i = 0; i < 148; i++) sum += block[i]!
  for (let i = 156; i < BLOCK; i++) sum += block[i]!
  if (sum !== Number.parseInt(readText(block, 148, 8).trim(), 8)) {
    throw new TarError('this is not a tar archive, or a broken one')
  }
}
