import { BLOCK, padding, type TarHeader } from './tar-header.ts'

/**
 * Writes headers of POSIX ustar, with two extensions of GNU tar: longer names, of any bytes, and larger files. All
 * entries are owned by root. The bytes depend on the header only, so that an interrupted archive can be resumed, also
 * by a later version of this program.
 */

const TYPES = { file: '0', link: '1', symlink: '2', directory: '5', device: undefined }
const LONGEST_NAME = 100
const USTAR = 'ustar\x0000'
const GNU = 'ustar  \0'

/** Two blocks of zeros, which end an archive. */
export const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK)

/** Returns the header of an entry, after the entries for its long names if it has any. */
export function tarHeader(header: TarHeader): Buffer {
  const { name, linkname, type } = header
  const parts: Buffer[] = []
  if (linkname.length > LONGEST_NAME) parts.push(...longName('K', linkname))
  if (name.length > LONGEST_NAME) parts.push(...longName('L', name))
  parts.push(block(header, TYPES[type]!, parts.length > 0 ? GNU : USTAR))
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

/** Returns the zeros between the end of a content and the next header. */
export const tarPadding = (size: number) => Buffer.alloc(padding(size))

function longName(type: 'L' | 'K', name: string): Buffer[] {
  const bytes = Buffer.from(`${name}\0`, 'latin1')
  const header = { name: '././@LongLink', linkname: '', mode: 0, mtime: 0, size: bytes.length }
  return [block(header, type, GNU), bytes, tarPadding(bytes.length)]
}

function block(
  { name, linkname, mode, size, mtime }: Omit<TarHeader, 'type'>,
  type: string,
  magic: string,
): Buffer {
  const bytes = Buffer.alloc(BLOCK)
  bytes.write(name.slice(0, LONGEST_NAME), 0, 'latin1')
  writeNumber(bytes, 100, 6, mode)
  writeNumber(bytes, 108, 6, 0)
  writeNumber(bytes, 116, 6, 0)
  writeNumber(bytes, 124, 11, size)
  writeNumber(bytes, 136, 11, Math.max(0, mtime))
  bytes.write('        ', 148, 'latin1')
  bytes.write(type, 156, 'latin1')
  bytes.write(linkname.slice(0, LONGEST_NAME), 157, 'latin1')
  bytes.write(magic, 257, 'latin1')
  writeNumber(bytes, 329, 6, 0)
  writeNumber(bytes, 337, 6, 0)
  let sum = 0
  for (const byte of bytes) sum += byte
  bytes.write(`${sum.toString(8).padStart(6, '0')} \0`, 148, 'latin1')
  return bytes
}

/** Writes `width` octal digits and a space, or a binary number with the highest bit set if they do not suffice. */
function writeNumber(bytes: Buffer, start: number, width: number, value: number) {
  const digits = value.toString(8)
  if (digits.length <= width) {
    bytes.write(`${digits.padStart(width, '0')} `, start, 'latin1')
    return
  }
  let rest = value
  for (let i = start + width; i > start; i--) {
    bytes[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  bytes[start] = 0x80
}
