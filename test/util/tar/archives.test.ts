import { execFileSync } from 'node:child_process'
import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { LayerLimits } from '../../../src/layers/limits.ts'
import type { TarHeader } from '../../../src/util/tar/tar-header.ts'
import { readTar } from '../../../src/util/tar/tar-reader.ts'
import { END_OF_ARCHIVE, tarHeader, tarPadding } from '../../../src/util/tar/tar-writer.ts'
import { needs } from '../../support/programs.ts'
import { temporaryFolder } from '../../support/server.ts'

/** Archives that are exchanged with other programs, and with earlier versions of this one. */

const GiB = 1024 ** 3
const HUGE = 9 * GiB + 5

const file = (name: string, size: number): TarHeader => ({
  name,
  type: 'file',
  linkname: '',
  mode: 0o644,
  size,
  mtime: 1_793_588_645,
})

interface Entry {
  header: TarHeader
  content: Buffer
}

async function entriesOf(source: AsyncIterable<Buffer>, { most = 1024 ** 2 } = {}): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const { header, content } of readTar(source, new LayerLimits())) {
    const parts: Buffer[] = []
    if (header.size <= most) for await (const part of content()) parts.push(part)
    entries.push({ header, content: Buffer.concat(parts) })
  }
  return entries
}

async function* inPieces(tar: Buffer) {
  for (let at = 0; at < tar.length; at += 777) yield tar.subarray(at, at + 777)
}

const tarOf = (entries: readonly Entry[]) =>
  Buffer.concat([
    ...entries.flatMap(({ header, content }) => [tarHeader(header), content, tarPadding(content.length)]),
    END_OF_ARCHIVE,
  ])

const unpack = (text: string) => gunzipSync(Buffer.from(text, 'base64'))

/** The entries of a bundle as version 1.0.0 wrote them, and its header of a file of `HUGE` bytes. */
const RELEASED = unpack(
  'H4sIAAAAAAACA+3UvQrCMBAH8G6CT5EXaLi0+cCxYEGHLhYfIGJaOtTBRJCK7246ie0giA2U3m8JSYbkOP53yLNtkVN3d9FkAEByTvrVG64eAwJvxO+lSPx9FMDNOn31X/lDkR/FzcS+1bWxdB2hRSp3GSuPRTnlG1/zD6P8p4D5D+KkrYkZhVieDTCzUbRp61ZfmspYF6z/6aD/qRIp9j+ExxNH/5KN899VltZdwPnPEsUJE4liSknJBelPpML8h7BCaKZweiOE0O9esWDDuwAUAAA=',
)
const RELEASED_HUGE = unpack(
  'H4sIAAAAAAACA8soTU/Vq0orZqAhMDAwMDMxUQDRQICgGyDSTA4MDKwGCKBgYGhgYGoGVMdAB1BaXJJYBHQSFTyJ4rkhAgALXBuOAAIAAA==',
)

test('bundles have the bytes that version 1.0.0 wrote, so that interrupted ones are resumed', async () => {
  const entries = await entriesOf(inPieces(RELEASED))
  expect(entries.map(({ header: { name, size } }) => ({ name, size }))).toEqual([
    { name: 'README.txt', size: 8 },
    { name: 'SHA1SUMS', size: 0 },
    { name: 'base-1.0-6de01e97.imgmanifest', size: 3 },
    { name: 'base-1.0-6de01e97.zfs.gz', size: 700 },
  ])
  expect(entries.at(-1)!.content.equals(Buffer.alloc(700, 7))).toBe(true)
  expect(tarOf(entries).equals(RELEASED)).toBe(true)
  const huge = { ...file('huge.zfs', HUGE), mtime: 0 }
  expect(tarHeader(huge).equals(RELEASED_HUGE)).toBe(true)
})

/** Lists and extracts: what other programs do with an archive. */
const READERS: [program: string, debianPackage: string, before: string[]][] = [
  ['tar', 'tar', []],
  ['bsdtar', 'libarchive-tools', []],
  ['busybox', 'busybox', ['tar']],
]

for (const [program, debianPackage, before] of READERS) {
  const withProgram = needs(program, debianPackage)
  const call = (...args: string[]) => execFileSync(program, [...before, ...args]).toString()

  withProgram(
    `${program} reads what is written: long names and files of more than 8 GiB`,
    () => {
      const folder = temporaryFolder()
      const long = `${'d'.repeat(120)}/${'f'.repeat(200)}`
      const content = Buffer.from('content')
      const archive = join(folder, 'archive.tar')
      const start = tarOf([
        { header: file('short', content.length), content },
        { header: file(long, content.length), content },
      ]).subarray(0, -END_OF_ARCHIVE.length)
      const head = Buffer.concat([start, tarHeader(file('huge', HUGE))])
      // The content of the huge file is a hole, which takes no space.
      const end = head.length + HUGE + tarPadding(HUGE).length
      const after = tarOf([{ header: file('after', content.length), content }])
      const handle = openSync(archive, 'w')
      writeSync(handle, head)
      ftruncateSync(handle, end)
      writeSync(handle, after, 0, after.length, end)
      closeSync(handle)
      const lines = call('-tvf', archive).trim().split('\n')
      expect(lines.map(line => line.split(/\s+/).at(-1))).toEqual(['short', long, 'huge', 'after'])
      expect(lines[2]).toContain(` ${HUGE} `)
      call('-xf', archive, '-C', folder, 'short', long)
      for (const name of ['short', long]) expect(readFileSync(join(folder, name), 'utf8')).toBe('content')
    },
    300_000,
  )

  withProgram(`what ${program} writes is read`, async () => {
    const folder = temporaryFolder()
    const names = ['short', 'l'.repeat(160), 'name é']
    for (const name of names) writeFileSync(join(folder, name), `content of ${name}`)
    const tar = execFileSync(program, [...before, '-C', folder, '-cf', '-', ...names])
    const entries = await entriesOf(inPieces(tar))
    const found = entries.map(({ header, content }) => [
      Buffer.from(header.name, 'latin1').toString(),
      content.toString(),
    ])
    expect(found).toEqual(names.map(name => [name, `content of ${name}`]))
  })
}

for (const format of ['gnu', 'pax']) {
  needs('tar', 'tar')(`a file of more than 8 GiB in the format ${format} is read`, async () => {
    const folder = temporaryFolder()
    const handle = openSync(join(folder, 'huge'), 'w')
    ftruncateSync(handle, HUGE)
    closeSync(handle)
    const command = `tar --format=${format} -C "$0" -cf - huge 2>/dev/null | head -c 4096`
    const head = execFileSync('sh', ['-c', command, folder])
    const headers = format === 'pax' ? 3 * 512 : 512
    const rest = HUGE + tarPadding(HUGE).length - (head.length - headers)
    async function* archive() {
      yield head
      const zeros = Buffer.alloc(1024 ** 2)
      for (let left = rest; left > 0; left -= zeros.length) yield zeros.subarray(0, left)
      yield tarOf([{ header: file('after', 0), content: Buffer.alloc(0) }])
    }
    const entries = await entriesOf(archive())
    expect(entries.map(({ header: { name, size } }) => ({ name, size }))).toEqual([
      { name: 'huge', size: HUGE },
      { name: 'after', size: 0 },
    ])
  })
}
