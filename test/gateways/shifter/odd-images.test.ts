import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { namesIn } from '../../support/folders.ts'
import { layerOf, tarOf } from '../../support/layers.ts'
import { needsAll } from '../../support/programs.ts'
import { startPulling } from '../../support/pulling.ts'
import { pull, readMeta } from '../../support/shifter.ts'
import { squashfsContent, squashfsTree } from '../../support/squashfs.ts'
import { until } from '../../support/until.ts'

/** Images as they are in the wild, and worse, from the registry to the file that is mounted. */

const test = needsAll({ sqfstar: 'squashfs-tools', unsquashfs: 'squashfs-tools', zstd: 'zstd' })

const DIRECTORY = { type: '5', mode: 0o755 } as const

async function startWith(layers: Buffer[], config: Record<string, unknown> = {}) {
  const { registry, gateway } = await startPulling()
  const { id } = await registry.put('odd/image:1', { layers, config })
  const file = (end: string) => join(gateway.imageDir, `${id}.${end}`)
  return { gateway, image: file('squashfs'), meta: file('meta') }
}

test('three layers become what the last one leaves of them', async () => {
  const { gateway, image, meta } = await startWith(
    [
      layerOf(
        { name: 'bin/', ...DIRECTORY },
        { name: 'bin/su', content: 'su', mode: 0o4755, uid: 1000 },
        { name: 'bin/su-link', type: '1', link: 'bin/su' },
        { name: 'etc/', ...DIRECTORY },
        { name: 'etc/gone', content: 'x' },
        { name: 'opt/', ...DIRECTORY },
        { name: 'opt/old', content: 'old' },
        { name: 'becomes-folder', content: 'file' },
        { name: 'becomes-file/', ...DIRECTORY },
        { name: 'becomes-file/inner', content: 'x' },
      ),
      layerOf(
        { name: 'opt/', ...DIRECTORY },
        { name: 'opt/.wh..wh..opq' },
        { name: 'opt/new', content: 'new' },
        { name: 'etc/.wh.gone' },
        { name: 'secret', content: 'secret', mode: 0o000 },
      ),
      layerOf(
        { name: 'becomes-folder/', ...DIRECTORY },
        { name: 'becomes-folder/inner', content: 'inner' },
        { name: 'becomes-file', content: 'now a file' },
        { name: 'Grüße/日本.txt', content: 'hello' },
        { name: 'dev/null', type: '3', mode: 0o666 },
        {
          name: 'ping',
          content: 'ping',
          pax: { 'SCHILY.xattr.security.capability': Buffer.from([1, 2, 3]) },
        },
      ),
    ],
    // There is no such user in its /etc/passwd.
    { User: 'stranger', Env: ['PATH=/bin'], Cmd: ['su'] },
  )
  expect((await pull(gateway, 'odd/image:1')).status).toBe('READY')
  const utf8 = (name: string) => Buffer.from(name).toString('latin1')
  expect(squashfsTree(image)).toEqual({
    bin: 'drwxr-xr-x 0/0',
    'bin/su': '-rwsr-xr-x 0/0',
    'bin/su-link': '-rwsr-xr-x 0/0',
    etc: 'drwxr-xr-x 0/0',
    opt: 'drwxr-xr-x 0/0',
    'opt/new': '-rw-r--r-- 0/0',
    secret: '---------- 0/0',
    'becomes-folder': 'drwxr-xr-x 0/0',
    'becomes-folder/inner': '-rw-r--r-- 0/0',
    'becomes-file': '-rw-r--r-- 0/0',
    [utf8('Grüße')]: 'drwxr-xr-x 0/0',
    [utf8('Grüße/日本.txt')]: '-rw-r--r-- 0/0',
    dev: 'drwxr-xr-x 0/0',
    ping: '-rw-r--r-- 0/0',
  })
  expect(squashfsContent(image, 'bin/su-link')).toBe('su')
  expect(squashfsContent(image, 'becomes-file')).toBe('now a file')
  expect(readMeta(meta)).toMatchObject({ FORMAT: 'squashfs', CMD: ['su'], env: ['PATH=/bin'] })
})

test('a layer of zstd is read as one of gzip is', async () => {
  const plain = tarOf([{ name: 'motd', content: 'from zstd' }])
  const { gateway, image } = await startWith([execFileSync('zstd', ['-qc'], { input: plain })])
  expect((await pull(gateway, 'odd/image:1')).status).toBe('READY')
  expect(squashfsContent(image, 'motd')).toBe('from zstd')
})

const ESCAPES = [
  [{ name: '../../evil', content: 'x' }, 'the name "../../evil" leads out of the image'],
  [
    { name: 'link', type: '1', link: '../../../etc/passwd' },
    'the hard link "link" has a target that does not exist in the image',
  ],
] as const

for (const [entry, reason] of ESCAPES) {
  test(`an image with ${JSON.stringify(entry)} is refused, and leaves nothing`, async () => {
    const { gateway } = await startWith([layerOf({ name: 'good', content: 'x' }, { ...entry })])
    expect(await pull(gateway, 'odd/image:1')).toMatchObject({ status: 'FAILURE', status_message: reason })
    const expand = join(gateway.server.datadir, '.shifter/expand')
    await until('nothing is left', () => namesIn(expand).length + readdirSync(gateway.imageDir).length === 0)
  })
}

test('names that are absolute, and those below links that lead out, are inside of the image', async () => {
  const { gateway, image } = await startWith([
    layerOf(
      { name: '/absolute', content: 'absolute' },
      { name: 'out', type: '2', link: '../../../../tmp' },
      { name: 'out/inside', content: 'inside' },
    ),
  ])
  expect((await pull(gateway, 'odd/image:1')).status).toBe('READY')
  const tree = squashfsTree(image)
  expect(Object.keys(tree).sort()).toEqual(['absolute', 'out', 'tmp', 'tmp/inside'])
})
