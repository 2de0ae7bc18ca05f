import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { expect } from 'vitest'
import { mergeLayers } from '../../src/layers/merge-layers.ts'
import { makeSquashfs } from '../../src/layers/squashfs.ts'
import { type LayerEntry, layerOf, tarOf } from '../support/layers.ts'
import { needsAll } from '../support/programs.ts'
import { temporaryFolder } from '../support/server.ts'
import { squashfsContent, squashfsTree } from '../support/squashfs.ts'
import { until } from '../support/until.ts'

/** Layers, merged and made a file of squashfs by the real program, as the real program reads it. */

const test = needsAll({ sqfstar: 'squashfs-tools', unsquashfs: 'squashfs-tools', zstd: 'zstd' })

const { signal } = new AbortController()

async function make(paths: string[], result: string) {
  const { root, leftOut, archive } = await mergeLayers(paths, signal)
  await makeSquashfs({ root, archive: archive() }, result, signal)
  return leftOut
}

/** An archive of no layers. */
const contentOf = (...entries: LayerEntry[]) => ({
  archive: Readable.from([tarOf(entries)]),
  root: { mode: 0o755, mtime: 0 },
})

async function convert(...layers: Buffer[]): Promise<string> {
  const folder = temporaryFolder()
  const paths = layers.map((bytes, index) => {
    const path = join(folder, `layer-${index}`)
    writeFileSync(path, bytes)
    return path
  })
  const result = join(folder, 'image.squashfs')
  await make(paths, result)
  return result
}

const DIRECTORY = { type: '5', mode: 0o755 } as const

test('whiteouts hide what lower layers have, and an opaque directory all of it', async () => {
  const image = await convert(
    layerOf(
      { name: 'etc/', ...DIRECTORY },
      { name: 'etc/passwd', content: 'root' },
      { name: 'etc/gone', content: 'x' },
      { name: 'opt/', ...DIRECTORY },
      { name: 'opt/old', content: 'old' },
      { name: 'opt/deep/', ...DIRECTORY },
      { name: 'opt/deep/old', content: 'old' },
      { name: 'all/', ...DIRECTORY },
      { name: 'all/below', content: 'x' },
    ),
    layerOf(
      { name: 'opt/', ...DIRECTORY },
      { name: 'opt/new', content: 'new' },
      { name: 'opt/.wh..wh..opq' },
      { name: 'opt/deep/', ...DIRECTORY },
      { name: 'opt/deep/new', content: 'new' },
      { name: 'etc/.wh.gone' },
      { name: '.wh.all' },
      // Of the same layer: it stays.
      { name: 'etc/fresh', content: 'fresh' },
      { name: 'etc/.wh.fresh' },
    ),
  )
  expect(Object.keys(squashfsTree(image)).sort()).toEqual([
    ...['etc', 'etc/fresh', 'etc/passwd'],
    ...['opt', 'opt/deep', 'opt/deep/new', 'opt/new'],
  ])
})

test('what a layer puts into a folder stays, whatever it hides there afterwards', async () => {
  const image = await convert(
    layerOf(
      { name: 'a/', ...DIRECTORY },
      { name: 'a/old', content: 'x' },
      { name: 'b/', ...DIRECTORY },
      { name: 'b/deep/', ...DIRECTORY },
      { name: 'b/deep/old', content: 'x' },
    ),
    layerOf(
      { name: 'a/new', content: 'x' },
      { name: '.wh.a' },
      { name: 'b/deep/new', content: 'x' },
      { name: 'b/.wh..wh..opq' },
    ),
  )
  expect(Object.keys(squashfsTree(image)).sort()).toEqual(['a', 'a/new', 'b', 'b/deep', 'b/deep/new'])
})

test('files take the place of directories, and directories that of files', async () => {
  const image = await convert(
    layerOf(
      { name: 'a/', ...DIRECTORY },
      { name: 'a/file', content: 'x' },
      { name: 'b', content: 'file' },
      { name: 'c', type: '2', link: 'a' },
    ),
    layerOf(
      { name: 'a', content: 'now a file' },
      { name: 'b/', ...DIRECTORY },
      { name: 'b/inner', content: 'inner' },
      { name: 'c/', ...DIRECTORY, mode: 0o700 },
      { name: 'c/inner', content: 'c' },
    ),
  )
  expect(squashfsTree(image)).toEqual({
    a: '-rw-r--r-- 0/0',
    b: 'drwxr-xr-x 0/0',
    'b/inner': '-rw-r--r-- 0/0',
    c: 'drwx------ 0/0',
    'c/inner': '-rw-r--r-- 0/0',
  })
  expect(squashfsContent(image, 'a')).toBe('now a file')
})

test('modes stay, also those of files without a right to read; everything belongs to root; devices are left out', async () => {
  const image = await convert(
    layerOf(
      { name: './bin/', ...DIRECTORY, uid: 1000 },
      { name: './bin/su', content: 'su', mode: 0o4755, uid: 1000 },
      { name: './secret', content: 'secret', mode: 0o000 },
      { name: './private/', type: '5', mode: 0o1700 },
      { name: './private/key', content: 'key', mode: 0o400 },
      { name: './dev/null', type: '3', mode: 0o666 },
    ),
  )
  expect(squashfsTree(image)).toEqual({
    bin: 'drwxr-xr-x 0/0',
    'bin/su': '-rwsr-xr-x 0/0',
    dev: 'drwxr-xr-x 0/0',
    private: 'drwx-----T 0/0',
    'private/key': '-r-------- 0/0',
    secret: '---------- 0/0',
  })
  expect(squashfsContent(image, 'secret')).toBe('secret')
})

test('hard links keep their content when the file they were made from is replaced or removed', async () => {
  const image = await convert(
    layerOf(
      { name: 'original', content: 'first' },
      { name: 'linked', type: '1', link: 'original' },
      { name: 'again', type: '1', link: './linked' },
      { name: 'other', content: 'other' },
      { name: 'kept', type: '1', link: '/other' },
    ),
    layerOf({ name: 'original', content: 'second' }, { name: '.wh.other' }),
    layerOf({ name: 'from-below', type: '1', link: 'kept' }),
  )
  const content = (name: string) => squashfsContent(image, name)
  expect(['original', 'linked', 'again', 'kept', 'from-below'].map(content)).toEqual([
    ...['second', 'first', 'first', 'other', 'other'],
  ])
  expect(squashfsTree(image).other).toBeUndefined()
})

test('names are kept byte by byte, however long', async () => {
  const raw = Buffer.from([0x64, 0xff, 0xfe, 0x2e])
  const long = `${'d'.repeat(120)}/${'f'.repeat(200)}`
  const image = await convert(
    layerOf(
      { name: 'Grüße/日本.txt', content: 'hello' },
      { name: raw, content: 'raw' },
      { name: Buffer.concat([Buffer.alloc(101, 'r'), raw]), content: 'long and raw' },
      { name: long, content: 'long' },
      { name: 'to', type: '2', link: 'x'.repeat(90) },
      { name: 'far', type: '2', pax: { linkpath: 'y'.repeat(300) } },
    ),
  )
  const names = Object.keys(squashfsTree(image))
  expect(names).toContain(Buffer.from('Grüße/日本.txt').toString('latin1'))
  expect(names).toContain(raw.toString('latin1'))
  expect(names).toContain('r'.repeat(101) + raw.toString('latin1'))
  expect(names).toContain(long)
  expect(squashfsTree(image).far).toContain(`-> ${'y'.repeat(300)}`)
  expect(squashfsContent(image, long)).toBe('long')
})

test('extended attributes do no harm', async () => {
  const capability = Buffer.from([1, 2, 3])
  const image = await convert(
    layerOf({ name: 'ping', content: 'ping', pax: { 'SCHILY.xattr.security.capability': capability } }),
  )
  expect(squashfsContent(image, 'ping')).toBe('ping')
})

test('a name below a symbolic link is where the link leads, inside of the image', async () => {
  const image = await convert(
    layerOf(
      { name: 'usr/lib/', ...DIRECTORY },
      { name: 'lib', type: '2', link: 'usr/lib' },
      { name: 'out', type: '2', link: '../../../../etc' },
      { name: 'root', type: '2', link: '/' },
    ),
    layerOf(
      { name: 'lib/libc.so', content: 'libc' },
      { name: 'out/passwd', content: 'inside' },
      { name: 'root/top', content: 'top' },
    ),
  )
  expect(squashfsTree(image)).toEqual({
    etc: 'drwxr-xr-x 0/0',
    'etc/passwd': '-rw-r--r-- 0/0',
    lib: 'lrwxrwxrwx 0/0 -> usr/lib',
    out: 'lrwxrwxrwx 0/0 -> ../../../../etc',
    root: 'lrwxrwxrwx 0/0 -> /',
    top: '-rw-r--r-- 0/0',
    usr: 'drwxr-xr-x 0/0',
    'usr/lib': 'drwxr-xr-x 0/0',
    'usr/lib/libc.so': '-rw-r--r-- 0/0',
  })
})

const REFUSED: [what: string, entries: LayerEntry[], reason: RegExp][] = [
  ['a name that goes up', [{ name: '../evil', content: 'x' }], /the name "..\/evil" leads out of the image/],
  ['a name that goes up later', [{ name: 'a/../../evil', content: 'x' }], /leads out of the image/],
  ['a name without end', [{ name: `${'n'.repeat(200)}/`.repeat(30) }], /name of more than 4096 bytes/],
  ['a part of a name without end', [{ name: 'n'.repeat(300) }], /longer than systems allow/],
  ['a folder without a bottom', [{ name: 'd/'.repeat(1000) }], /longer than systems allow/],
  [
    'a hard link that goes up to nothing',
    [{ name: 'h', type: '1', link: '../../etc/shadow' }],
    /"h" has a target that does not exist/,
  ],
  [
    'a hard link to nothing',
    [{ name: 'h', type: '1', link: '/etc/shadow' }],
    /"h" has a target that does not exist/,
  ],
  [
    'links in circles',
    [
      { name: 'a', type: '2', link: 'b' },
      { name: 'b', type: '2', link: 'a' },
      { name: 'a/file', content: 'x' },
    ],
    /form a loop/,
  ],
]

for (const [what, entries, reason] of REFUSED) {
  test(`${what} is refused, and nothing is left behind`, async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'layer')
    writeFileSync(path, layerOf(...entries))
    const result = join(folder, 'image.squashfs')
    await expect(make([path], result)).rejects.toThrow(reason)
    expect(existsSync(result)).toBe(false)
  })
}

test('absolute names are those of the image', async () => {
  const image = await convert(layerOf({ name: '/etc/motd', content: 'inside' }))
  expect(Object.keys(squashfsTree(image))).toEqual(['etc', 'etc/motd'])
})

test('layers may be plain or compressed with zstd, whatever made them', async () => {
  const tar = tarOf([{ name: 'file', content: 'x'.repeat(300_000) }])
  const zstd = execFileSync('zstd', ['-c', '-3'], { input: tar })
  for (const layer of [
    tar,
    zstd,
    Buffer.concat([gzipSync(tar.subarray(0, 700)), gzipSync(tar.subarray(700))]),
  ]) {
    expect(squashfsContent(await convert(layer), 'file')).toBe('x'.repeat(300_000))
  }
})

test('what is no archive, or breaks off, is refused with the reason', async () => {
  const folder = temporaryFolder()
  const whole = tarOf([{ name: 'file', content: 'x'.repeat(3000) }])
  const cases: [bytes: Buffer, reason: RegExp][] = [
    [Buffer.from('hello'.repeat(300)), /not a tar archive/],
    [whole.subarray(0, 2000), /is truncated/],
    [gzipSync(whole).subarray(0, 40), /unexpected end of file/],
  ]
  for (const [bytes, reason] of cases) {
    const path = join(folder, 'layer')
    writeFileSync(path, bytes)
    const result = join(folder, 'result')
    await expect(make([path], result)).rejects.toThrow(reason)
    expect(existsSync(result)).toBe(false)
  }
})

test('the words of the converter tell why it failed', async () => {
  const archive = contentOf({ name: 'file', content: 'x' })
  const path = join(temporaryFolder(), 'nowhere', 'image.squashfs')
  await expect(makeSquashfs(archive, path, signal)).rejects.toThrow(/sqfstar failed \(1\): .*No such file/)
})

test('an abort ends the converter, also when it has all that it needs', async () => {
  const folder = temporaryFolder()
  const slow = join(folder, 'sqfstar')
  writeFileSync(slow, '#!/bin/sh\ncat > /dev/null\necho fed > "$0.fed"\nexec sleep 60\n', { mode: 0o755 })
  const abort = new AbortController()
  const path = process.env.PATH
  process.env.PATH = `${folder}:${path}`
  const made = makeSquashfs(contentOf(), join(folder, 'image'), abort.signal)
  made.catch(() => {})
  await until('it is fed', () => existsSync(`${slow}.fed`)).finally(() => {
    process.env.PATH = path
  })
  abort.abort(new Error('canceled'))
  await expect(made).rejects.toThrow('canceled')
})

test('files from before 1970 are files too', async () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'old'), 'old')
  execFileSync('touch', ['-d', '1960-01-01', join(folder, 'old')])
  const tar = execFileSync('tar', ['--format=gnu', '-C', folder, '-cf', '-', 'old'])
  expect(squashfsContent(await convert(tar), 'old')).toBe('old')
})
