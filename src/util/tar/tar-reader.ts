import { ByteReader } from './byte-reader.ts'
import type { TarLimits } from './limits.ts'
import { type PaxFields, readPax } from './pax.ts'
import { checkSparse, expand, readMap, readOldSparse, type Sparse } from './sparse.ts'
import { TarError } from './tar-error.ts'
import {
  BLOCK,
  checkSum,
  padding,
  readHeader,
  readNumber,
  readText,
  type TarHeader,
  typeFlag,
} from './tar-header.ts'

/**
 * Reads tar archives: POSIX ustar and pax, GNU's long names and sparse files. No package is used: `tar-stream`
 * and `tar` decode names as UTF-8, which some names in layers are not.
 */

/** The longest pax header, in bytes; it may contain extended attributes. */
const LONGEST_EXTENSION = 1024 * 1024
/** The longest path of Linux, in bytes. */
const LONGEST_NAME = 4096
const HEADER_ONLY: ReadonlySet<string> = new Set(['link', 'symlink', 'directory', 'device'])

export interface TarEntry {
  header: TarHeader
  /** Yields its content, which is skipped if it is not read. */
  content(): AsyncIterable<Buffer>
}

/**
 * Yields the entries of an archive in order. The content of an entry must be read before the next entry is requested.
 * `limits` may be shared by several archives. Throws TarError.
 */
export async function* readTar(source: AsyncIterable<Buffer>, limits: TarLimits): AsyncGenerator<TarEntry> {
  const reader = new ByteReader(source)
  try {
    let extension: PaxFields = {}
    for (;;) {
      const block = await reader.exactly(BLOCK)
      // Two blocks of zeros end an archive, but some programs write one or none.
      if (!block || block.every(byte => byte === 0)) return
      checkSum(block)
      const flag = typeFlag(block)
      if (flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K') {
        const bytes = await readExtension(reader, block, limits)
        // The fields of a global header are not needed.
        if (flag === 'x') extension = { ...extension, ...readPax(bytes) }
        if (flag === 'L') extension.name = readText(bytes, 0, bytes.length)
        if (flag === 'K') extension.linkname = readText(bytes, 0, bytes.length)
        continue
      }
      limits.add('entries', 1)
      const body = new Body(reader)
      const { header, sparse } = await readEntry(block, extension, body, limits)
      extension = {}
      limits.add('content', header.size)
      yield {
        header,
        content: () => (sparse ? expand(sparse, most => body.some(most)) : body.all()),
      }
      await body.skip()
    }
  } finally {
    await reader.close()
  }
}

/** The stored content of an entry. */
class Body {
  readonly reader: ByteReader
  left = 0
  #padding = 0

  constructor(reader: ByteReader) {
    this.reader = reader
  }

  begin(size: number) {
    this.left = size
    this.#padding = padding(size)
  }

  /** Returns from 1 to `most` bytes. Throws TarError at the end of the content. */
  async some(most: number): Promise<Buffer> {
    if (this.left === 0) throw new TarError('the archive has a sparse file that cannot be read')
    const part = await this.reader.some(Math.min(most, this.left))
    this.left -= part.length
    return part
  }

  async *all(): AsyncGenerator<Buffer> {
    while (this.left > 0) yield await this.some(this.left)
  }

  async block(): Promise<Buffer> {
    const bytes = this.left >= BLOCK ? await this.reader.exactly(BLOCK) : undefined
    if (!bytes) throw new TarError('the archive has a sparse file that cannot be read')
    this.left -= BLOCK
    return bytes
  }

  /** Skips to the next entry. */
  async skip() {
    await this.reader.skip(this.left + this.#padding)
  }
}

async function readEntry(
  block: Buffer,
  { sparse: pax, ...fields }: PaxFields,
  body: Body,
  limits: TarLimits,
) {
  const header: TarHeader = { ...readHeader(block), ...fields }
  if (HEADER_ONLY.has(header.type)) header.size = 0
  if (pax?.name !== undefined) header.name = pax.name
  if (Math.max(header.name.length, header.linkname.length) > LONGEST_NAME) {
    throw new TarError(`the archive has a name of more than ${LONGEST_NAME} bytes`)
  }
  let sparse: Sparse | undefined
  if (typeFlag(block) === 'S') sparse = await readOldSparse(block, body.reader, limits)
  body.begin(header.size)
  if (pax && header.type === 'file') {
    if (!pax.isInContent) limits.add('parts', pax.map.length / 2)
    const map = pax.isInContent ? await readMap(() => body.block(), limits) : pax.map
    sparse = { size: pax.size ?? 0, map }
  }
  if (sparse) {
    checkSparse(sparse, body.left)
    header.size = sparse.size
  }
  return { header, sparse }
}

async function readExtension(reader: ByteReader, block: Buffer, limits: TarLimits): Promise<Buffer> {
  const size = readNumber(block, 124, 12)
  limits.add('extensions', BLOCK + size)
  if (size > LONGEST_EXTENSION) throw new TarError('the archive has a name that is too long')
  const bytes = size === 0 ? Buffer.alloc(0) : await reader.exactly(size)
  if (!bytes) throw new TarError('the archive is truncated')
  await reader.skip(padding(size))
  return bytes
}
