import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { type Headers, pack as newPack } from 'tar-stream'

/** Pieces of a tar, so that one that was begun can be completed: the same contents give the same bytes. */

const BLOCK = 512

/** What follows the last entry. */
export const END = Buffer.alloc(2 * BLOCK)

/** Entries in full. */
export async function entriesOf(texts: readonly { name: string; text: string }[]): Promise<Buffer> {
  const pack = newPack()
  for (const { name, text } of texts) pack.entry({ name, mtime: new Date(0) }, text)
  pack.finalize()
  const tar = await buffer(pack)
  return tar.subarray(0, tar.length - END.length)
}

/** What comes before the bytes of a file. */
export async function headerOf(header: Pick<Headers, 'name' | 'mtime'> & { size: number }): Promise<Buffer> {
  const pack = newPack()
  const entry = pack.entry(header)
  const [first] = await once(pack, 'data')
  // The rest comes from elsewhere.
  for (const stream of [pack, entry]) stream.on('error', () => {})
  pack.destroy()
  return first
}

/** What follows the bytes of a file. */
export const paddingOf = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)
