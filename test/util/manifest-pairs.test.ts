import { describe, expect, test } from 'vitest'
import { candidatePairs, chooseFile, pairNames, stemOf } from '../../src/util/manifest-pairs.ts'

describe('what imgadm and the builders write belongs together', () => {
  test.each([
    ['web-1.0.0.imgmanifest', 'web-1.0.0.zfs'],
    ['web-1.0.0.imgmanifest', 'web-1.0.0.zfs.gz'],
    ['web-1.0.0.imgmanifest', 'web-1.0.0.zfs.bz2'],
    ['web-1.0.0.imgmanifest', 'web-1.0.0.zfs.xz'],
    ['web.json', 'web.zfs.gz'],
    ['web-1.0.dsmanifest', 'web-1.0.zfs.bz2'],
    ['kvm-1.0.dsmanifest', 'kvm-1.0.zvol.gz'],
    ['agents-master-20240101T000000Z-gabc.manifest', 'agents-master-20240101T000000Z-gabc.sh'],
    ['agent.manifest', 'agent.tgz'],
    ['agent.manifest', 'agent.tar.gz'],
  ])('%s and %s', (manifest, file) => {
    expect(pairNames([file, 'README.md', manifest])).toEqual({
      pairs: [{ manifest, files: [file] }],
      unpairedManifests: [],
    })
  })
})

test('a manifest without a file is named; other JSON, partial files and hidden endings are none of ours', () => {
  const names = ['a.imgmanifest', 'b.zfs.gz', 'package.json', 'c.zfs.gz.partial', '.zfs', '.json', 'notes']
  expect(pairNames(names)).toEqual({
    pairs: [],
    unpairedManifests: ['a.imgmanifest'],
  })
  expect(stemOf('notes')).toBeUndefined()
})

test('every manifest comes with all its candidates, in the order of names', () => {
  const names = ['b.json', 'a.zfs.gz', 'c.zfs', 'a.manifest', 'a.tar', 'a.json', 'notes']
  expect(candidatePairs(names)).toEqual([
    { manifest: 'a.json', files: ['a.tar', 'a.zfs.gz'] },
    { manifest: 'a.manifest', files: ['a.tar', 'a.zfs.gz'] },
    { manifest: 'b.json', files: [] },
  ])
})

test('of several files the one of the right size is meant, or none', () => {
  const files = [{ size: 1 }, { size: 2 }]
  expect(chooseFile(files, '2')).toBe(files[1])
  expect(chooseFile(files, 3)).toBeUndefined()
  expect(chooseFile(files, undefined)).toBeUndefined()
  expect(chooseFile([files[0]!], undefined)).toBe(files[0])
  expect(chooseFile([{ size: 2 }, { size: 2 }], 2)).toBeUndefined()
})
