/**
 * Tar archives of layers: POSIX ustar and pax, and GNU's long names. Names are kept byte by byte, as latin-1
 * strings: layers have names that are no UTF-8, and the usual library decodes what pax headers hold.
 */

/** What an entry is, in the words of stat. */
export type EntryType = 'file' | 'link' | 'symlink' | 'directory' | 'device'

export interface TarHeader {
  /** Bytes as latin-1, as they are in the archive. */
  name: string
  type: EntryType
  /** Of a link: the name of what it leads to. */
  linkname: string
  /** Bytes of content that follow. */
  size: number
  mode: number
  uid: number
  gid: number
  /** Seconds since 1970. */
  mtime: number
}

export class TarError extends Error {
  override readonly name = 'TarError'
}

const BLOCK = 512
/** Of a pax header, which may have extended attributes in it. */
const LONGEST_EXTENSION = 1024 * 1024
/** What a system takes for a path. Without a limit a small layer could fill the memory with names. */
const LONGEST_NAME = 4096
const TYPES: Record<string, EntryType> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'device',
  '4': 'device',
  '5': 'directory',
  '6': 'device',
}

/** A stream of bytes that is read in portions of a wanted size. */
class ByteReader {
  readonly #source: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** At least one byte and at most so many; nothing at the end. */
  async some(most: number): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#source.next()
      if (done) return undefined
      this.#rest = value
    }
    const part = this.#rest.subarray(0, most)
    this.#rest = this.#rest.subarray(part.length)
    return part
  }

  /** Exactly so many bytes; nothing if there is none at all. Throws TarError if it ends within them. */
  async exactly(size: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = []
    for (let missing = size; missing > 0; ) {
      const part = await this.some(missing)
      if (!part && missing === size) return undefined
      if (!part) throw new TarError('the archive breaks off')
      parts.push(part)
      missing -= part.length
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts)
  }

  async skip(size: number) {
    for (let missing = size; missing > 0; ) {
      const part = await this.some(missing)
      if (!part) throw new TarError('the archive breaks off')
      missing -= part.length
    }
  }

  /** Ends the source, read or not. */
  async close() {
    await this.#source.return?.()
  }
}

export interface TarEntry {
  header: TarHeader
  /** Its bytes, which are skipped if nobody asks. */
  content(): AsyncIterable<Buffer>
}

/** The entries of an archive, in its order. Each must be read before the next. Throws TarError. */
export async function* readTar(source: AsyncIterable<Buffer>): AsyncGenerator<TarEntry> {
  const reader = new ByteReader(source)
  try {
    let extension: Partial<TarHeader> = {}
    for (;;) {
      const block = await reader.exactly(BLOCK)
      // Two blocks of zeros end an archive; many programs are content with one, or with none.
      if (!block || block.every(byte => byte === 0)) return
      checkSum(block)
      const type = String.fromCharCode(block[156]!)
      const size = number(block, 124, 12)
      if (type === 'x' || type === 'g' || type === 'L' || type === 'K') {
        const text = await readExtension(reader, size)
        if (type === 'x') extension = { ...extension, ...paxFields(text) }
        if (type === 'L') extension.name = untilZero(text)
        if (type === 'K') extension.linkname = untilZero(text)
        continue
      }
      const header = { ...fieldsOf(block, type, size), ...extension }
      extension = {}
      if (header.size < 0) throw new TarError('the archive has a file of negative size')
      if (Math.max(header.name.length, header.linkname.length) > LONGEST_NAME) {
        throw new TarError(`the archive has a name of more than ${LONGEST_NAME} bytes`)
      }
      let left = header.size
      yield {
        header,
        content: async function* () {
          while (left > 0) {
            const part = await reader.some(left)
            if (!part) throw new TarError('the archive breaks off')
            left -= part.length
            yield part
          }
        },
      }
      await reader.skip(left + padding(header.size))
    }
  } finally {
    await reader.close()
  }
}

/** Bytes between the end of the content and the next block. */
export const padding = (size: number) => (BLOCK - (size % BLOCK)) % BLOCK

async function readExtension(reader: ByteReader, size: number): Promise<string> {
  if (size > LONGEST_EXTENSION) throw new TarError('the archive has a name that is too long')
  const bytes = size === 0 ? Buffer.alloc(0) : await reader.exactly(size)
  if (!bytes) throw new TarError('the archive breaks off')
  await reader.skip(padding(size))
  return bytes.toString('latin1')
}

function fieldsOf(block: Buffer, type: string, size: number): TarHeader {
  const known = TYPES[type]
  if (!known) throw new TarError(`the archive has an entry of the unknown type "${type}"`)
  const isUstar = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isUstar ? text(block, 345, 155) : ''
  const name = prefix ? `${prefix}/${text(block, 0, 100)}` : text(block, 0, 100)
  return {
    name,
    // Before there were types, a slash told directories.
    type: known === 'file' && type !== '7' && name.endsWith('/') ? 'directory' : known,
    linkname: text(block, 157, 100),
    // Links and directories have no content, whatever their header says.
    size: known === 'file' ? size : 0,
    mode: number(block, 100, 8) & 0o7777,
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    mtime: number(block, 136, 12),
  }
}

/** `LENGTH KEY=VALUE\n`, as often as there are keys. What is not needed, extended attributes too, is left out. */
function paxFields(records: string): Partial<TarHeader> {
  const fields: Partial<TarHeader> = {}
  for (let at = 0; at < records.length; ) {
    const space = records.indexOf(' ', at)
    const length = Number(records.slice(at, space))
    const record = records.slice(space + 1, at + length)
    const equals = record.indexOf('=')
    if (space === -1 || !(length > 0) || equals === -1 || !record.endsWith('\n')) {
      throw new TarError('the archive has a header that cannot be read')
    }
    const key = record.slice(0, equals)
    const value = record.slice(equals + 1, -1)
    if (key === 'path') fields.name = value
    else if (key === 'linkpath') fields.linkname = value
    else if (key === 'size' || key === 'uid' || key === 'gid') fields[key] = wholeNumber(value)
    else if (key === 'mtime') fields.mtime = Math.floor(Number(value)) || 0
    else if (key.startsWith('GNU.sparse.')) throw new TarError('sparse files in layers are not supported')
    at += length
  }
  return fields
}

function wholeNumber(value: string): number {
  const found = Number(value)
  if (!Number.isSafeInteger(found)) throw new TarError(`the archive has "${value}" for a number`)
  return found
}

const untilZero = (value: string) => value.replace(/\0.*$/s, '')

const text = (block: Buffer, start: number, length: number) =>
  untilZero(block.toString('latin1', start, start + length))

/** Octal digits, or GNU's big-endian number with the highest bit set. */
function number(block: Buffer, start: number, length: number): number {
  if (block[start]! & 0x80) {
    // Negative is the date of a file from before 1970, and nothing else.
    if (block[start]! === 0xff) return 0
    let value = block[start]! & 0x7f
    for (let i = start + 1; i < start + length; i++) value = value * 256 + block[i]!
    if (!Number.isSafeInteger(value)) throw new TarError('the archive has a number that is too large')
    return value
  }
  const digits = text(block, start, length).trim()
  if (digits === '') return 0
  if (!/^[0-7]+$/.test(digits)) throw new TarError('the archive has a header that cannot be read')
  return Number.parseInt(digits, 8)
}

/** The sum of all bytes of the header, those of the sum itself counted as blanks. */
function checkSum(block: Buffer) {
  let sum = 8 * 0x20
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += block[i]!
  if (sum !== Number.parseInt(text(block, 148, 8).trim(), 8))
    throw new TarError('this is not a tar archive, or a broken one')
}
