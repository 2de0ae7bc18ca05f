import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { bytes, call } from '../support/api.ts'
import { cli, done } from '../support/cli.ts'
import { header, type LayerEntry, tarOf } from '../support/layers.ts'
import { needs } from '../support/programs.ts'
import { run } from '../support/run.ts'
import { startServer, temporaryFolder } from '../support/server.ts'
import { remoteManifest } from '../support/source.ts'

/** Bundles as other programs write them, and as an attacker does. */

const CONTENT = Buffer.from(bytes(3000))
const IMAGE = remoteManifest(CONTENT, { name: 'base' })
const MANIFEST: LayerEntry = { name: 'base.imgmanifest', content: JSON.stringify(IMAGE) }
const FILE: LayerEntry = { name: 'base.zfs', content: CONTENT }

const whole = tarOf([MANIFEST, FILE])
const start = tarOf([MANIFEST]).subarray(0, -1024)
const truncated = 'the bundle is truncated or not a tar file: '

const HOSTILE: [what: string, tar: Buffer, message: string][] = [
  ['a name above it', tarOf([MANIFEST, { ...FILE, name: '../base.zfs' }]), 'is for ../base.zfs'],
  ['an absolute name', tarOf([MANIFEST, { name: '/etc/passwd', content: 'root' }]), 'is for /etc/passwd'],
  ['a hard link', tarOf([MANIFEST, { ...FILE, type: '1', link: '/etc/passwd' }]), 'base.zfs has 0 bytes'],
  [
    'a symbolic link',
    tarOf([MANIFEST, { name: 'base.zfs', type: '2', link: '/etc/passwd' }]),
    'base.zfs has 0 bytes, not 3000',
  ],
  ['a device', tarOf([MANIFEST, { name: 'base.zfs', type: '3' }]), 'base.zfs has 0 bytes, not 3000'],
  [
    'a link for a manifest',
    tarOf([{ name: 'base.imgmanifest', type: '2', link: '/etc/passwd' }, FILE]),
    'the bundle is damaged: base.imgmanifest',
  ],
  [
    'a smaller size than its file',
    tarOf([MANIFEST, { ...FILE, content: CONTENT.subarray(1) }]),
    'base.zfs has 2999 bytes, not 3000',
  ],
  [
    'another size in its pax header',
    tarOf([MANIFEST, { ...FILE, pax: { size: '2048' } }]),
    'base.zfs has 2048 bytes, not 3000',
  ],
  [
    'a hole of a petabyte for a file',
    tarOf([
      MANIFEST,
      { name: 'base.zfs', pax: { 'GNU.sparse.map': '', 'GNU.sparse.size': '1125899906842624' } },
    ]),
    'where a number must be',
  ],
  [
    'a file that is nearly all hole',
    tarOf([
      MANIFEST,
      {
        name: 'base.zfs',
        content: 'x',
        pax: { 'GNU.sparse.map': '0,1', 'GNU.sparse.size': '1125899906842624' },
      },
    ]),
    'base.zfs has 1125899906842624 bytes, not 3000',
  ],
  [
    'an extended header of two gigabytes',
    Buffer.concat([start, header(Buffer.from('pax'), 'x', 2 ** 31, {}), Buffer.alloc(4096, 'x')]),
    `${truncated}the archive has a name that is too long, after base.imgmanifest`,
  ],
  [
    'a pax header that cannot be read',
    Buffer.concat([start, header(Buffer.from('pax'), 'x', 512, {}), Buffer.alloc(4096, 'x')]),
    `${truncated}the archive has a header that cannot be read, after base.imgmanifest`,
  ],
  ['half a header', whole.subarray(0, start.length + 200), `${truncated}the archive is truncated`],
  ['half a file', whole.subarray(0, start.length + 2000), `${truncated}the archive is truncated`],
  ['no file', start, 'the bundle is truncated: the file of base is missing'],
  ['no image', tarOf([{ name: 'README.txt', content: 'none' }]), 'not a bundle: it contains no image'],
  ['a compressed tar', gzipSync(whole), `${truncated}not a tar archive, or a damaged or compressed one`],
]

test('hostile bundles are refused with a reason, and nothing of them is left', async () => {
  const server = await startServer()
  for (const [what, tar, message] of HOSTILE) {
    const file = join(temporaryFolder(), 'images.tar')
    writeFileSync(file, tar)
    const refused = await cli(server, ['bundle', 'import', file])
    expect(refused, what).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(message) })
    expect((await call(server, 'GET', '/images')).body, what).toEqual([])
    await call(server, 'DELETE', `/images/${IMAGE.uuid}`)
  }
})

test('names in a bundle do not reach the terminal as they are', async () => {
  const server = await startServer()
  const file = join(temporaryFolder(), 'images.tar')
  writeFileSync(file, tarOf([MANIFEST, { name: 'r\u001b[2Jd', content: 'x' }]))
  const { stderr } = await cli(server, ['bundle', 'import', file])
  expect(stderr).toContain('no manifest in it is for r?[2Jd')
})

const REPACKED: [program: string, debianPackage: string, args: string[]][] = [
  ['tar', 'tar', ['--format=gnu']],
  ['tar', 'tar', ['--format=pax']],
  ['tar', 'tar', ['--format=v7']],
  ['tar', 'tar', ['--sparse', '--hole-detection=raw', '--format=pax']],
  ['bsdtar', 'libarchive-tools', []],
  ['busybox', 'busybox', ['tar']],
]

for (const [program, debianPackage, args] of REPACKED) {
  needs(program, debianPackage)(
    `a bundle is imported as ${[program, ...args].join(' ')} repacks it`,
    async () => {
      const source = await startServer()
      const content = Buffer.concat([Buffer.alloc(40_000), Buffer.from(bytes(3000)), Buffer.alloc(40_000)])
      const image = remoteManifest(content, { name: 'base' })
      const folder = temporaryFolder()
      writeFileSync(join(folder, 'base.imgmanifest'), JSON.stringify(image))
      writeFileSync(join(folder, 'base.zfs'), content)
      const file = join(folder, 'images.tar')
      const packed = await run(program, [...args, '-cf', file, 'base.imgmanifest', 'base.zfs'], {
        cwd: folder,
      })
      expect(packed).toMatchObject({ code: 0 })
      await done(cli(source, ['bundle', 'import', file]))
      const stored = await fetch(`${source.url}/images/${image.uuid}/file`)
      expect(Buffer.from(await stored.arrayBuffer()).equals(readFileSync(join(folder, 'base.zfs')))).toBe(
        true,
      )
    },
  )
}
