import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { type Headers, pack as newPack } from 'tar-stream'

/** Parts of a tar file, byte for byte reproducible, so that a partly written one can be resumed. */

const BLOCK = 512

/** The end-of-archive marker. */
export const END = Buffer.alloc(2 * BLOCK)

/** Returns the headers, contents and padding of text entries, without the end-of-archive marker. */
export async function entriesOf(texts: readonly { name: string; text: string }[]): Promise<Buffer> {
  const pack = newPack()
  for (const { name, text } of texts) pack.entry({ name, mtime: new Date(0) }, text)
  pack.finalize()
  const tar = await buffer(pack)
  return tar.subarray(0, tar.length - END.length)
}

/** Returns the header of a file, which the caller writes before its content. */
export async function headerOf(header: Pick<Headers, 'name' | 'mtime'> & { size: number }): Promise<Buffer> {
  const pack = newPack()
  const entry = pack.entry(header)
  const [first] = await once(pack, 'data')
  // Only the header is needed: the caller writes the content.
  for (const stream of [pack, entry]) stream.on('error', () => {})
  pack.destroy()
  return first
}

/** Returns the zeros that fill the last block of a file. */
export const paddingOf = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)
