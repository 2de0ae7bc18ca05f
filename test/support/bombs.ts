import { spawnSync } from 'node:child_process'
import { gzipSync } from 'node:zlib'
import { header, layerOf, paxRecord, tarOf } from './layers.ts'

/** Layers that are small and take much: each is made of parts that are compressed once and repeated. */

const MiB = 1024 ** 2
const quick = { level: 1 }
const END = gzipSync(Buffer.alloc(1024))

/** Gzip lets one stream follow another. */
const gzipped = (parts: Iterable<Buffer>) => Buffer.concat([...parts, END])

/** The blocks of an entry, with a number of eight digits at an offset in each of them. */
function* numbered(template: Buffer, offset: number, count: number): Generator<Buffer> {
  const most = Math.max(1, Math.floor((4 * MiB) / template.length))
  for (let first = 0; first < count; first += most) {
    const batch = Buffer.alloc(template.length * Math.min(most, count - first))
    for (let at = 0, i = first; at < batch.length; at += template.length, i++) {
      template.copy(batch, at)
      batch.write(String(i).padStart(8, '0'), at + offset)
    }
    yield gzipSync(batch, quick)
  }
}

const padded = (text: string) =>
  Buffer.alloc(Math.ceil((text.length + 1) / 512) * 512, 0).fill(text, 0, text.length)

/** GNU's way to have a long name, whose header needs no sum over it. */
const longName = (type: 'L' | 'K', name: string) =>
  Buffer.concat([header(Buffer.from('long'), type, name.length + 1, {}), padded(name)])

/** Symbolic links with names and targets of any length. */
export function manyLinks(count: number, name: string, target: string): Buffer {
  const [names, targets] = [longName('L', `${name}00000000`), longName('K', target)]
  const entry = Buffer.concat([names, targets, header(Buffer.from('link'), '2', 0, {})])
  return gzipped(numbered(entry, 512 + name.length, count))
}

/** Empty files, up to a thousand in a folder. */
export function manyFiles(count: number): Buffer {
  // The sum of the header is that of the digits too.
  const parts: Buffer[] = []
  const most = 8192
  const batch = Buffer.alloc(512 * most)
  const block = header(Buffer.from('00000/000'), '0', 0, {})
  const sum = Number.parseInt(block.toString('latin1', 148, 154), 8)
  for (let first = 0; first < count; first += most) {
    const size = Math.min(most, count - first)
    for (let i = 0; i < size; i++) {
      const digits = String(first + i).padStart(8, '0')
      block.write(`${digits.slice(0, 5)}/${digits.slice(5)}`, 0, 'latin1')
      let more = 0
      for (let at = 0; at < 8; at++) more += digits.charCodeAt(at) - 48
      block.write((sum + more).toString(8).padStart(6, '0'), 148, 'latin1')
      block.copy(batch, i * 512)
    }
    parts.push(gzipSync(batch.subarray(0, size * 512), quick))
  }
  return gzipped(parts)
}

/** Files, each with a name in a pax header of 1 MiB. */
export function manyPaxHeaders(count: number): Buffer {
  const name = (i: number) => paxRecord('path', `file-${String(i).padStart(40, '0')}`)
  const rest = paxRecord('comment', 'x'.repeat(MiB - name(0).length - '1048576 comment=\n'.length))
  const all = Buffer.concat([name(0), rest])
  const tail = gzipSync(Buffer.concat([all.subarray(512), Buffer.alloc((512 - (all.length % 512)) % 512)]))
  const begin = header(Buffer.from('pax'), 'x', all.length, {})
  const file = gzipSync(header(Buffer.from('file'), '0', 0, {}))
  function* parts() {
    for (let i = 0; i < count; i++) {
      const head = Buffer.concat([begin, name(i), rest]).subarray(0, 1024)
      yield Buffer.concat([gzipSync(head, quick), tail, file])
    }
  }
  return gzipped(parts())
}

/** A file of so many MiB of zeros. */
export function zeros(size: number): Buffer {
  const one = gzipSync(Buffer.alloc(MiB))
  const head = gzipSync(header(Buffer.from('zeros'), '0', size * MiB, {}))
  return gzipped([head, ...Array.from({ length: size }, () => one)])
}

/** A file that says it has so many bytes. */
export const claiming = (size: number) => layerOf({ name: 'claim', pax: { size: String(size) } })

/** Folders in folders, of which an archive names the last ones only. */
export function manyFolders(chains: number, depth: number): Buffer {
  const name = longName('L', `00000000${'/d'.repeat(depth - 1)}`)
  const entry = Buffer.concat([name, header(Buffer.from('folder'), '5', 0, {})])
  return gzipped(numbered(entry, 512, chains))
}

/** A file in a frame of zstd that wants a window of 1 GiB. */
export function wideZstd(): Buffer {
  const tar = tarOf([{ name: 'zeros', content: Buffer.alloc(64 * MiB) }])
  const made = spawnSync('zstd', ['-q', '-1', '--long=30', '-c'], { input: tar, maxBuffer: 64 * MiB })
  return made.stdout
}

/** Empty frames of zstd, each with a window of 128 MiB, before a file. */
export function manyWindows(count: number): Buffer {
  const frame = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (27 - 10) << 3, 0x01, 0x00, 0x00])
  const file = spawnSync('zstd', ['-q', '-c'], { input: tarOf([{ name: 'file', content: 'x' }]) }).stdout
  return Buffer.concat([...Array.from({ length: count }, () => frame), file])
}

/** Names whose way leads through links that go up and down. */
export function longWays(count: number): Buffer {
  const links = Array.from({ length: 39 }, (_, i) => ({
    name: `l${i}`,
    type: '2' as const,
    pax: { linkpath: `${'a/../'.repeat(780)}${i === 38 ? 'a' : `l${i + 1}`}` },
  }))
  const tar = tarOf([{ name: 'a/', type: '5' }, ...links])
  const files = gzipSync(tarOf([{ name: 'l0/file', content: '' }]).subarray(0, 512))
  return gzipped([gzipSync(tar.subarray(0, -1024)), ...Array.from({ length: count }, () => files)])
}

/** Folders in each other, through links: no name in it is long. */
export function deepFolders(): Buffer {
  const folders = `${'d'.repeat(100)}/`.repeat(3)
  // Each link leads to three folders below where the one before leads to.
  const steps = Array.from({ length: 20 }, (_, i) => [
    { name: `${i === 0 ? '' : `l${i}/`}${folders}`, type: '5' as const },
    { name: `l${i + 1}`, type: '2' as const, pax: { linkpath: `${i === 0 ? '' : `l${i}/`}${folders}` } },
  ])
  return layerOf(...steps.flat())
}
