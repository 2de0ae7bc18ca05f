import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { mergeLayers } from '../../src/layers/merge-layers.ts'
import { makeSquashfs } from '../../src/layers/squashfs.ts'
import { type LayerEntry, tarOf } from '../support/layers.ts'
import { unpackWithUmoci } from '../support/oci-layout.ts'
import { needsAll } from '../support/programs.ts'
import { temporaryFolder } from '../support/server.ts'
import { describeTree } from '../support/trees.ts'

/** The same layers, unpacked by umoci as the gateway of others does it, and made a squashfs by us. */

const test = needsAll({ umoci: 'umoci', sqfstar: 'squashfs-tools', unsquashfs: 'squashfs-tools' })

const { signal } = new AbortController()

async function byUs(layers: Buffer[]): Promise<Record<string, string> | string> {
  const folder = temporaryFolder()
  const paths = layers.map((bytes, index) => {
    writeFileSync(join(folder, `layer-${index}`), bytes)
    return join(folder, `layer-${index}`)
  })
  const image = join(folder, 'image')
  try {
    const { root, archive } = await mergeLayers(paths, signal)
    await makeSquashfs({ root, archive: archive() }, image, signal)
  } catch (error) {
    return (error as Error).message
  }
  const tree = join(folder, 'tree')
  expect(spawnSync('unsquashfs', ['-no-progress', '-d', tree, image]).status).toBe(0)
  return describeTree(tree)
}

const folder = (name: string, mode = 0o755): LayerEntry => ({ name: `${name}/`, type: '5', mode })
const file = (name: string, content = name): LayerEntry => ({ name, content })
const link = (name: string, target: string): LayerEntry => ({ name, type: '2', link: target })
const hard = (name: string, target: string): LayerEntry => ({ name, type: '1', link: target })

const SAME: [what: string, ...layers: LayerEntry[][]][] = [
  ['a root without a mode', [file('a')]],
  ['a root with a mode', [folder('.', 0o750), file('a')], [file('b')]],
  ['a root whose mode changes', [folder('.', 0o750)], [{ name: './', type: '5', mode: 0o1777 }]],
  ['`..` inside of the image', [folder('a'), file('a/../b'), file('./a//./c/../d')]],
  ['`..` after a link', [folder('x/y'), link('l', 'x/y'), file('l/../z')]],
  ['a hard link up and back', [folder('a'), file('a/file'), hard('a/link', '../../a/file')]],
  ['a hard link to an absolute name', [file('file'), folder('a'), hard('a/link', '/file')]],
  ['a hard link with `..` inside', [file('file'), folder('a'), hard('link', 'a/../file')]],
  ['a hard link through a link', [folder('real'), file('real/f'), link('way', 'real'), hard('h', 'way/f')]],
  ['a hard link to a link', [link('l', 'nowhere'), hard('h', 'l')]],
  ['a hard link from above', [file('f')], [hard('g', 'f')], [file('f', 'new')]],
  ['absolute names', [file('/etc/motd')]],
  ['links out of the image', [link('out', '../../tmp'), file('out/inside')]],
  ['an absolute link', [folder('usr/lib'), link('lib', '/usr/lib')], [file('lib/so')]],
  ['whiteouts', [folder('a'), file('a/x'), file('a/y'), file('b')], [file('a/.wh.x'), file('.wh.b')]],
  ['a whiteout of a folder', [folder('a/b'), file('a/b/c')], [file('.wh.a')]],
  ['a whiteout and its name in one layer', [file('a', 'old')], [file('.wh.a'), file('a', 'new')]],
  ['a whiteout after its name in one layer', [file('a', 'old')], [file('a', 'new'), file('.wh.a')]],
  [
    'a whiteout of what is new below',
    [folder('a'), file('a/old')],
    [folder('a'), file('a/new'), file('.wh.a')],
  ],
  ['an opaque folder', [folder('a/b'), file('a/b/c'), file('a/d')], [folder('a'), file('a/.wh..wh..opq')]],
  [
    'an opaque folder, said late',
    [folder('a'), file('a/x')],
    [folder('a'), file('a/y'), file('a/.wh..wh..opq')],
  ],
  ['a file in place of a folder', [folder('a'), file('a/x')], [file('a', 'now a file')]],
  ['a folder in place of a file', [file('a')], [folder('a'), file('a/x')]],
  ['a folder in place of a link', [folder('a'), file('a/x'), link('b', 'a')], [folder('b'), file('b/y')]],
  [
    'modes',
    [{ name: 's', mode: 0o4755 }, { name: 'n', mode: 0o000 }, folder('t', 0o1777), folder('p', 0o700)],
  ],
  ['names that are not UTF-8', [{ name: Buffer.from([0x61, 0xff, 0xfe]), content: 'x' }]],
  ['long names', [file(`${'d'.repeat(120)}/${'f'.repeat(200)}`)]],
  [
    'files of many sizes',
    [file('0', ''), file('511', 'x'.repeat(511)), file('512', 'x'.repeat(512)), file('513', 'x'.repeat(513))],
  ],
]

for (const [what, ...layers] of SAME) {
  test(`${what}: unpacked as umoci does`, async () => {
    const tars = layers.map(tarOf)
    const expected = unpackWithUmoci(tars)
    expect(expected).toBeTypeOf('object')
    expect(await byUs(tars)).toEqual(expected)
  })
}
