import { expect, test } from 'vitest'
import { pairUp } from '../../src/incoming/pairs.ts'

test.for([
  ['base-1.0.imgmanifest', 'base-1.0.zfs'],
  ['base-1.0.imgmanifest', 'base-1.0.zfs.gz'],
  ['base-1.0.imgmanifest', 'base-1.0.zfs.bz2'],
  ['base-1.0.imgmanifest', 'base-1.0.zfs.xz'],
  ['debian.json', 'debian.zfs.gz'],
  ['x-zfs-master-20240101T000000Z-gabc.manifest', 'x-zfs-master-20240101T000000Z-gabc.zfs.gz'],
  ['old-1.2.dsmanifest', 'old-1.2.zfs.bz2'],
  ['vm.dsmanifest', 'vm.zvol.gz'],
  ['agents.manifest', 'agents.sh'],
  ['platform.manifest', 'platform.tgz'],
  ['platform.manifest', 'platform.tar.gz'],
])('%s belongs to %s', ([manifest, file]) => {
  expect(pairUp([file!, 'other.zfs.gz', manifest!])).toEqual([{ manifest, files: [file] }])
})

test('copies under way, backups and manifests that are alone pair with nothing', () => {
  const names = [
    '.a.zfs.gz.Xy12',
    '.a.imgmanifest',
    'a.zfs.gz.part',
    'b.imgmanifest',
    'b.zfs.gz~',
    'c.zfs',
    'failed',
  ]
  expect(pairUp(names)).toEqual([{ manifest: 'b.imgmanifest', files: [] }])
})

test('of several files all are named: the manifest tells which it is', () => {
  const [pair] = pairUp(['a.json', 'a.zfs', 'a.zfs.gz', 'a-1.zfs'])
  expect(pair).toEqual({ manifest: 'a.json', files: ['a.zfs', 'a.zfs.gz'] })
})
