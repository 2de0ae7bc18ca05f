import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { expect } from 'vitest'
import { LayerLimits } from '../../../src/layers/limits.ts'
import { mergeLayers } from '../../../src/layers/merge-layers.ts'
import { readTar } from '../../../src/util/tar/tar-reader.ts'
import { header, tarOf } from '../../support/layers.ts'
import { needs } from '../../support/programs.ts'
import { fc } from '../../support/properties.ts'
import { temporaryFolder } from '../../support/server.ts'

/** Files with holes, in every format that GNU tar writes. */

const test = needs('tar', 'tar')

const FORMATS = [
  ['--format=gnu'],
  ...['0.0', '0.1', '1.0'].map(version => ['--format=pax', `--sparse-version=${version}`]),
]

interface Part {
  at: number
  bytes: Buffer
}

function sparseFile(folder: string, name: string, size: number, parts: readonly Part[]) {
  const file = openSync(join(folder, name), 'w')
  ftruncateSync(file, size)
  for (const { at, bytes } of parts) writeSync(file, bytes, 0, bytes.length, at)
  closeSync(file)
}

const archive = (folder: string, format: string[], names: string[]) =>
  execFileSync('tar', ['--sparse', '--hole-detection=raw', ...format, '-C', folder, '-cf', '-', ...names], {
    maxBuffer: 64 * 1024 ** 2,
  })

const sha1 = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex')

async function* pieces(tar: Buffer) {
  for (let at = 0; at < tar.length; at += 1000) yield tar.subarray(at, at + 1000)
}

async function filesOf(tar: Buffer): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for await (const { header: found, content } of readTar(pieces(tar), new LayerLimits())) {
    const bytes: Buffer[] = []
    for await (const piece of content()) bytes.push(piece)
    files[found.name] = sha1(Buffer.concat(bytes))
    expect(bytes.reduce((sum, { length }) => sum + length, 0)).toBe(found.size)
  }
  return files
}

/** Skips all that is in the files. */
async function sizesOf(tar: Buffer): Promise<number[]> {
  const sizes: number[] = []
  for await (const { header: found } of readTar(pieces(tar), new LayerLimits())) sizes.push(found.size)
  return sizes
}

for (const format of FORMATS) {
  test(`files with holes come out whole: ${format.join(' ')}`, async () => {
    const folder = temporaryFolder()
    const byte = (at: number) => ({ at, bytes: Buffer.alloc(700, at % 251) })
    sparseFile(
      folder,
      'many',
      1_000_000,
      Array.from({ length: 60 }, (_, i) => byte(i * 16_384)),
    )
    sparseFile(folder, 'end', 300_000, [byte(299_000)])
    sparseFile(folder, 'begin', 300_000, [byte(0)])
    sparseFile(folder, 'hole', 300_000, [])
    sparseFile(folder, 'large', 3 * 1024 ** 2, [byte(2 * 1024 ** 2)])
    const long = 'l'.repeat(180)
    sparseFile(folder, long, 100_000, [byte(50_000)])
    writeFileSync(join(folder, 'plain'), 'plain')
    const names = ['many', 'end', 'begin', 'hole', 'large', long, 'plain']
    const tar = archive(folder, format, names)
    expect(tar.length).toBeLessThan(1024 ** 2)
    const wanted = names.map(name => [name, sha1(readFileSync(join(folder, name)))])
    expect(await filesOf(tar)).toEqual(Object.fromEntries(wanted))
  })

  test(`random files with holes: ${format.join(' ')}`, async () => {
    const part = fc.record({
      at: fc.nat(200).map(block => block * 512),
      bytes: fc.nat(2000).map(length => Buffer.alloc(length + 1, length % 255)),
    })
    const parts = fc.array(part, { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(parts, fc.integer({ min: 110_000, max: 200_000 }), async (made, size) => {
        const folder = temporaryFolder()
        sparseFile(folder, 'file', size, made)
        const tar = archive(folder, format, ['file'])
        expect(await filesOf(tar)).toEqual({ file: sha1(readFileSync(join(folder, 'file'))) })
      }),
      { numRuns: 15 },
    )
  })
}

test('in the image that is made of it, a file with holes is a file', async () => {
  const folder = temporaryFolder()
  sparseFile(folder, 'file', 100_000, [{ at: 50_000, bytes: Buffer.from('middle') }])
  const layer = join(folder, 'layer')
  writeFileSync(layer, archive(folder, ['--format=pax'], ['file']))
  const merged = await mergeLayers([layer], new AbortController().signal)
  const listed = execFileSync('tar', ['-tvf', '-'], { input: await buffer(merged.archive()) }).toString()
  expect(listed).toMatch(/^-rw\S+ 0\/0 +100000 .* file\n$/)
})

const MAPS: [what: string, fields: Record<string, string>][] = [
  ['parts out of order', { map: '512,5,0,5', size: '600' }],
  ['parts in each other', { map: '0,6,5,4', size: '600' }],
  ['a part behind the end', { map: '0,5,598,5', size: '600' }],
  ['fewer bytes than the archive has', { map: '0,5', size: '600' }],
  ['more bytes than the archive has', { map: '0,500', size: '600' }],
  ['half a part', { map: '0,5,10', size: '600' }],
  ['no numbers', { map: 'a,b', size: '600' }],
  ['a size of its own', { map: '0,10', size: '-5' }],
  ['a map in a content that has none', { major: '1', minor: '0', realsize: '600' }],
]

for (const [what, fields] of MAPS) {
  test(`a sparse file with ${what} is refused`, async () => {
    const pax = Object.fromEntries(Object.entries(fields).map(([key, value]) => [`GNU.sparse.${key}`, value]))
    const tar = tarOf([{ name: 'file', content: 'x'.repeat(10), pax }])
    await expect(filesOf(tar)).rejects.toThrow(/sparse file|where a number must be/)
  })
}

test('holes count with their size, and parts are counted', async () => {
  const old = header(Buffer.from('file'), 'S', 0, {})
  old.write('77777777777\0', 483)
  old.write('        ', 148)
  const sum = old.reduce((total, byte) => total + byte, 0)
  old.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  const files = (count: number) =>
    Buffer.concat([...Array.from({ length: count }, () => old), Buffer.alloc(1024)])
  expect(await sizesOf(files(3))).toEqual([8, 8, 8].map(size => size * 1024 ** 3 - 1))
  await expect(sizesOf(files(40))).rejects.toThrow('bytes in files')

  const content = Buffer.alloc(512)
  content.write('1000001\n')
  const pax = { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '5' }
  await expect(sizesOf(tarOf([{ name: 'file', content, pax }]))).rejects.toThrow('1000000 parts')
})
