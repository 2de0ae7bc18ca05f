import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'

/** Layers of docker images, byte by byte: what no tool would write, too. */

export interface LayerEntry {
  /** A string is UTF-8. */
  name: string | Buffer
  /** As tar has it: `0` file (default), `1` hard link, `2` symbolic link, `3` device, `5` directory, `6` fifo. */
  type?: '0' | '1' | '2' | '3' | '5' | '6'
  content?: string | Buffer
  link?: string
  mode?: number
  uid?: number
  /** Records of a pax header before it. */
  pax?: Record<string, string | Buffer>
}

const pad = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])

/** The block that begins an entry. */
export function header(
  name: Buffer,
  type: string,
  size: number,
  { mode = 0o644, uid = 0, link = '' }: Partial<LayerEntry>,
) {
  const block = Buffer.alloc(512)
  name.copy(block, 0, 0, 100)
  block.write(`${mode.toString(8).padStart(7, '0')}\0`, 100)
  block.write(`${uid.toString(8).padStart(7, '0')}\0`, 108)
  block.write('0000000\0', 116)
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  block.write('14000000000\0', 136)
  block.write('        ', 148)
  block.write(type, 156)
  block.write(link, 157, 100)
  block.write('ustar\x0000', 257)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
export function paxRecord(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value as string), Buffer.from('\n')])
  let length = rest.length
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

function entryBytes(entry: LayerEntry): Buffer {
  const name = Buffer.from(entry.name as string)
  const type = entry.type ?? '0'
  const content = Buffer.from((entry.content ?? '') as string)
  const pax = Object.entries(entry.pax ?? {})
  if (name.length > 100) pax.push(['path', name])
  const records = Buffer.concat(pax.map(([key, value]) => paxRecord(key, value)))
  return Buffer.concat([
    ...(pax.length > 0 ? [header(Buffer.from('pax'), 'x', records.length, {}), pad(records)] : []),
    header(name, type, content.length, entry),
    pad(content),
  ])
}

/** A tar archive. */
export const tarOf = (entries: readonly LayerEntry[]) =>
  Buffer.concat([...entries.map(entryBytes), Buffer.alloc(1024)])

export const layerOf = (...entries: LayerEntry[]) => gzipSync(tarOf(entries))

export const digestOf = (bytes: string | Buffer) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`
