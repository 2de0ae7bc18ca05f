import { padding, type TarHeader } from './tar-header.ts'

/** Writes headers in the format of GNU tar: names of any bytes and any length. All entries are owned by root. */

const BLOCK = 512
const TYPES = { file: '0', link: '1', symlink: '2', directory: '5', device: undefined }

/** Two blocks of zeros, which end an archive. */
export const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK)

/** Returns the header of an entry, after the entries for its long names if it has any. */
export function tarHeader(header: TarHeader): Buffer {
  const { name, linkname } = header
  const parts: Buffer[] = []
  if (linkname.length > 100) parts.push(...longName('K', linkname))
  if (name.length > 100) parts.push(...longName('L', name))
  parts.push(block(header, TYPES[header.type]!))
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

export const tarPadding = (size: number) => Buffer.alloc(padding(size))

function longName(type: 'L' | 'K', name: string): Buffer[] {
  const bytes = Buffer.from(`${name}\0`, 'latin1')
  const entry = { mode: 0, mtime: 0, size: bytes.length, type: 'file' as const }
  return [block({ ...entry, name: '././@LongLink', linkname: '' }, type), bytes, tarPadding(bytes.length)]
}

function block({ name, linkname, mode, size, mtime }: TarHeader, type: string): Buffer {
  const bytes = Buffer.alloc(BLOCK)
  bytes.write(name.slice(0, 100), 0, 'latin1')
  writeNumber(bytes, 100, 8, mode)
  writeNumber(bytes, 108, 8, 0)
  writeNumber(bytes, 116, 8, 0)
  writeNumber(bytes, 124, 12, size)
  writeNumber(bytes, 136, 12, Math.max(0, mtime))
  bytes.write('        ', 148, 'latin1')
  bytes.write(type, 156, 'latin1')
  bytes.write(linkname.slice(0, 100), 157, 'latin1')
  bytes.write('ustar  \0', 257, 'latin1')
  let sum = 0
  for (const byte of bytes) sum += byte
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return bytes
}

/** Writes octal digits if they fit, otherwise a binary number with the highest bit set. */
function writeNumber(bytes: Buffer, start: number, length: number, value: number) {
  const digits = value.toString(8)
  if (digits.length < length) {
    bytes.write(digits.padStart(length - 1, '0'), start, 'latin1')
    return
  }
  let rest = value
  for (let i = start + length - 1; i > start; i--) {
    bytes[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  bytes[start] = 0x80
}
