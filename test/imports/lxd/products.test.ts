import { expect, test } from 'vitest'
import { chooseImage } from '../../../src/imports/lxd/products.ts'

/** Which product, version and files an alias means; the real thing is in acceptance/lxd-imports.test.ts. */

const digest = (digit: string) => digit.repeat(64)
const item = (ftype: string, more: Record<string, unknown> = {}) => ({
  ...{ ftype, path: ftype, sha256: digest('0'), size: 1 },
  ...more,
})
const METADATA = item('lxd.tar.xz', {
  combined_squashfs_sha256: digest('1'),
  combined_rootxz_sha256: digest('2'),
  'combined_disk-kvm-img_sha256': digest('3'),
  'combined_uefi1-img_sha256': digest('4'),
  'combined_disk1-img_sha256': digest('5'),
  combined_sha256: digest('6'),
})
const ROOTS = ['squashfs', 'root.tar.xz', 'disk-kvm.img', 'uefi1.img', 'disk1.img']

const productOf = (items: object[], arch = 'amd64', aliases = 'box, other') => ({
  aliases,
  arch,
  // Keys of items are free; what counts is the type.
  versions: { '20260101': { items: Object.fromEntries(items.map((one, index) => [`item ${index}`, one])) } },
})

test.each(ROOTS.map((root, index) => [root, index] as const))(
  '%s is the root file system if there is none that is better, with its own fingerprint',
  (root, index) => {
    const items = [...ROOTS.slice(index).map(ftype => item(ftype)), METADATA].reverse()
    expect(chooseImage({ box: productOf(items) }, 'other')).toMatchObject({
      fullname: 'box',
      version: '20260101',
      fingerprint: digest(String(index + 1)),
      files: [{ ftype: 'lxd.tar.xz' }, { ftype: root }],
    })
  },
)

test('a root file system whose image has no fingerprint is not taken, and an old list has one for the tar', () => {
  const metadata = item('lxd.tar.xz', { combined_sha256: digest('6') })
  const items = [metadata, item('squashfs'), item('root.tar.xz')]
  expect(chooseImage({ box: productOf(items) }, 'box')).toMatchObject({
    fingerprint: digest('6'),
    files: [{ ftype: 'lxd.tar.xz' }, { ftype: 'root.tar.xz' }],
  })
})

test('the combined file comes before all others', () => {
  const items = [METADATA, item('squashfs'), item('lxd_combined.tar.gz', { sha256: digest('7') })]
  const found = chooseImage({ box: productOf(items) }, 'box')
  expect(found).toMatchObject({ fingerprint: digest('7'), files: [{ ftype: 'lxd_combined.tar.gz' }] })
  expect(found!.files).toHaveLength(1)
})

test('products that are of another form are passed over, and one that is meant is named', () => {
  const box = productOf([METADATA, item('squashfs')], 'x86_64')
  const others = { text: 'text', none: null, numbers: { aliases: 5 }, without: { arch: 'amd64' } }
  expect(chooseImage({ ...others, box }, 'box')).toMatchObject({ fullname: 'box' })
  expect(chooseImage({ ...others, box }, 'text')).toBeUndefined()
  expect(() => chooseImage({ broken: { aliases: 'box', arch: 'amd64' } }, 'box')).toThrow(
    /^product broken is not valid: versions/,
  )
})

test('images of Incus are taken if there is no image of LXD, with the fingerprint that their own metadata has', () => {
  const incus = item('incus.tar.xz', { combined_squashfs_sha256: digest('8') })
  const combined = item('incus_combined.tar.gz', { sha256: digest('9') })
  const found = (...items: object[]) => chooseImage({ box: productOf(items) }, 'box')
  expect(found(item('squashfs'), incus)).toMatchObject({
    fingerprint: digest('8'),
    files: [{ ftype: 'incus.tar.xz' }, { ftype: 'squashfs' }],
  })
  expect(found(incus, item('squashfs'), METADATA)).toMatchObject({
    fingerprint: digest('1'),
    files: [{ ftype: 'lxd.tar.xz' }, { ftype: 'squashfs' }],
  })
  expect(found(incus, item('squashfs'), combined)).toMatchObject({
    fingerprint: digest('9'),
    files: [{ ftype: 'incus_combined.tar.gz' }],
  })
  expect(found(combined, METADATA, item('squashfs'))).toMatchObject({ fingerprint: digest('1') })
})
