import { describe, expect, test } from 'vitest'
import { lint } from '../../src/images/lint/lint.ts'

/** Manifests as they are in the wild, broken and odd: what the linter says of each, and what to do. */

const GOOD = {
  v: 2,
  uuid: '6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b',
  owner: '00000000-0000-0000-0000-000000000000',
  name: 'web',
  version: '1.0.0',
  type: 'zone-dataset',
  os: 'smartos',
  public: true,
  published_at: '2024-01-31T12:00:00.000Z',
  files: [{ sha1: 'da39a3ee5e6b4b0d3255bfef95601890afd80709', size: 5, compression: 'gzip' }],
}
const VOLUME = {
  ...GOOD,
  type: 'zvol',
  nic_driver: 'virtio',
  disk_driver: 'virtio',
  cpu_type: 'host',
  image_size: 10240,
}
const file = (changes: object) => ({ files: [{ ...GOOD.files[0], ...changes }] })
const without = (field: keyof typeof VOLUME, from: Record<string, unknown> = GOOD) => ({
  ...from,
  [field]: undefined,
})

const say = (text: string) => lint(text).findings.map(({ level, field, fix }) => ({ level, field, fix }))

test.each([
  ['a manifest of imgadm', GOOD],
  ['a volume', VOLUME],
  [
    'a bhyve image',
    {
      ...VOLUME,
      requirements: { brand: 'bhyve', bootrom: 'uefi', min_platform: { '7.0': '20260306T044811Z' } },
    },
  ],
  [
    'an lx image with its tags',
    {
      ...GOOD,
      type: 'lx-dataset',
      os: 'linux',
      requirements: { brand: 'lx' },
      tags: { kernel_version: '5.10' },
    },
  ],
  ['one that has no date and no file yet', { ...GOOD, published_at: undefined, files: undefined }],
  ['a date without milliseconds', { ...GOOD, published_at: '2024-01-31T12:00:00Z' }],
])('%s is right as it is', (_name, manifest) => {
  expect(say(JSON.stringify(manifest))).toEqual([])
})

const UPPER = GOOD.uuid.toUpperCase()

/** What it is, the manifest, the field at fault, and a part of the fix. */
const ERRORS: [string, unknown, string, string][] = [
  ['no uuid', without('uuid'), 'uuid', 'uuidgen'],
  ['a uuid in capitals', { ...GOOD, uuid: UPPER }, 'uuid', GOOD.uuid],
  ['a uuid that is none', { ...GOOD, uuid: 'web-1' }, 'uuid', 'uuidgen'],
  ['no v', without('v'), 'v', '"v": 2'],
  ['v in words', { ...GOOD, v: 'two' }, 'v', '"v": 2'],
  ['a negative v', { ...GOOD, v: -1 }, 'v', '"v": 2'],
  ['an owner by name', { ...GOOD, owner: 'joyent' }, 'owner', 'UUID'],
  ['an empty owner', { ...GOOD, owner: '' }, 'owner', 'remove'],
  ['no name', without('name'), 'name', 'add "name"'],
  ['an empty name', { ...GOOD, name: '' }, 'name', 'not empty'],
  ['a name with a colon', { ...GOOD, name: 'sdc:web' }, 'name', '"sdc-web"'],
  ['a name with an umlaut', { ...GOOD, name: 'büro' }, 'name', '"b-ro"'],
  ['a name without end', { ...GOOD, name: 'x'.repeat(1025) }, 'name', '1024'],
  ['no version', without('version'), 'version', '1.0.0'],
  ['a version with a space', { ...GOOD, version: '1.0 beta' }, 'version', '"1.0-beta"'],
  ['no type', without('type'), 'type', 'zone-dataset'],
  ['an unknown type', { ...GOOD, type: 'tarball' }, 'type', 'one of zone-dataset'],
  ['a brand for a type', { ...GOOD, type: 'lx' }, 'type', '"lx-dataset"'],
  ['a type in capitals', { ...GOOD, type: 'Zone-Dataset' }, 'type', '"zone-dataset"'],
  ['no os', without('os'), 'os', 'smartos'],
  ['an emulator for an os', { ...GOOD, os: 'QEMU' }, 'os', '"other"'],
  ['a distribution for an os', { ...GOOD, os: 'Ubuntu' }, 'os', '"linux"'],
  ['an os in capitals', { ...GOOD, os: 'SmartOS' }, 'os', '"smartos"'],
  ['public in words', { ...GOOD, public: 'yes' }, 'public', 'true or false'],
  ['public as a number', { ...GOOD, public: 1 }, 'public', 'true or false'],
  [
    'a date with tenths',
    { ...GOOD, published_at: '2012-11-02T22:46:46.0Z' },
    'published_at',
    '2012-11-02T22:46:46.000Z',
  ],
  [
    'a date without a time',
    { ...GOOD, published_at: '2024-01-31' },
    'published_at',
    '2024-01-31T00:00:00.000Z',
  ],
  [
    'a date with an offset',
    { ...GOOD, published_at: '2024-01-31T12:00:00+01:00' },
    'published_at',
    '11:00:00.000Z',
  ],
  ['a date in words', { ...GOOD, published_at: 'yesterday' }, 'published_at', 'T12:00:00.000Z'],
  ['a date as a number', { ...GOOD, published_at: 1351896406 }, 'published_at', 'Z"'],
  ['an origin by name', { ...GOOD, origin: 'base-64' }, 'origin', 'UUID'],
  ['an empty origin', { ...GOOD, origin: '' }, 'origin', 'remove "origin"'],
  ['itself for an origin', { ...GOOD, origin: GOOD.uuid }, 'origin', 'based on'],
  ['a homepage without http', { ...GOOD, homepage: 'www.example.com' }, 'homepage', 'http'],
  ['a description that is a list', { ...GOOD, description: ['x'] }, 'description', 'text'],
  ['tags as a list', { ...GOOD, tags: ['web'] }, 'tags', 'in place of the list'],
  ['tags as text', { ...GOOD, tags: 'role=web' }, 'tags', '{"KEY": "VALUE"}'],
  ['an acl of names', { ...GOOD, acl: ['admin'] }, 'acl', 'UUIDs'],
  ['users as names', { ...GOOD, users: ['root'] }, 'users', '{"name": "root"}'],
  ['requirements as text', { ...GOOD, requirements: 'none' }, 'requirements', 'object'],
  [
    'the platform of a broken builder',
    { ...GOOD, requirements: { min_platform: { undefined: '20140101T000000Z' } } },
    'requirements.min_platform',
    'replace the key "undefined"',
  ],
  [
    'a platform as text',
    { ...GOOD, requirements: { min_platform: '20140101T000000Z' } },
    'requirements.min_platform',
    '{"7.0"',
  ],
  [
    'a platform that is a date',
    { ...GOOD, requirements: { min_platform: { '7.0': '2014-01-01' } } },
    'requirements.min_platform',
    '{"7.0"',
  ],
  [
    'a platform without any',
    { ...GOOD, requirements: { max_platform: {} } },
    'requirements.max_platform',
    '{"7.0"',
  ],
  ['RAM with a unit', { ...GOOD, requirements: { min_ram: '512M' } }, 'requirements.min_ram', 'MiB'],
  [
    'more RAM than is allowed',
    { ...GOOD, requirements: { min_ram: 512, max_ram: 256 } },
    'requirements.max_ram',
    'min_ram',
  ],
  [
    'networks by name',
    { ...GOOD, requirements: { networks: ['net0'] } },
    'requirements.networks',
    'description',
  ],
  [
    'a bootrom without a brand',
    { ...GOOD, requirements: { bootrom: 'uefi' } },
    'requirements.bootrom',
    '"brand": "bhyve"',
  ],
  [
    'a bootrom of another brand',
    { ...GOOD, requirements: { brand: 'kvm', bootrom: 'uefi' } },
    'requirements.bootrom',
    '"bhyve"',
  ],
  [
    'a bootrom that is none',
    { ...GOOD, requirements: { brand: 'bhyve', bootrom: 'grub' } },
    'requirements.bootrom',
    '"bios" or "uefi"',
  ],
  [
    'an unknown requirement',
    { ...GOOD, requirements: { min_disk: 5 } },
    'min_disk',
    'remove "min_disk" from',
  ],
  ['a volume without drivers', without('nic_driver', VOLUME), 'nic_driver', '"virtio"'],
  ['a volume without a size', without('image_size', VOLUME), 'image_size', 'volsize'],
  ['a volume of no size', { ...VOLUME, image_size: 0 }, 'image_size', 'above 0'],
  ['a size of a volume with a unit', { ...VOLUME, image_size: '10G' }, 'image_size', 'MiB'],
  ['fields of a volume on a zone', { ...GOOD, nic_driver: 'virtio' }, 'nic_driver', 'remove it'],
  [
    'inherited directories on a volume',
    { ...VOLUME, inherited_directories: ['/lib'] },
    'inherited_directories',
    'remove it',
  ],
  ['a docker layer without its id', { ...GOOD, type: 'docker', os: 'linux' }, 'tags', 'docker:id'],
  ['two files', { ...GOOD, files: [GOOD.files[0], GOOD.files[0]] }, 'files', 'keep only the file'],
  ['files as an object', { ...GOOD, files: GOOD.files[0] }, 'files', '[{'],
  ['a digest that is too short', { ...GOOD, ...file({ sha1: 'da39a3' }) }, 'files[0].sha1', 'sha1sum'],
  ['a sha256 for a sha1', { ...GOOD, ...file({ sha1: 'a'.repeat(64) }) }, 'files[0].sha1', 'sha1sum'],
  ['a file of no bytes', { ...GOOD, ...file({ size: 0 }) }, 'files[0].size', 'bytes'],
  ['a file of half a byte', { ...GOOD, ...file({ size: 0.5 }) }, 'files[0].size', 'bytes'],
  ['a size with a unit', { ...GOOD, ...file({ size: '5M' }) }, 'files[0].size', 'bytes'],
  [
    'a compression by its ending',
    { ...GOOD, ...file({ compression: 'gz' }) },
    'files[0].compression',
    '"gzip"',
  ],
  [
    'a compression that hosts cannot undo',
    { ...GOOD, ...file({ compression: 'zstd' }) },
    'files[0].compression',
    'hosts support no other',
  ],
  ['a slip of the pen', { ...without('name'), nmae: 'web' }, 'nmae', 'rename it to "name"'],
  ['a field in camel case', { ...GOOD, publishedAt: 'x' }, 'publishedAt', '"published_at"'],
  ['billing tags that are too long', { ...GOOD, billing_tags: ['x'.repeat(129)] }, 'billing_tags', '128'],
  ['traits with numbers', { ...GOOD, traits: { ssd: 1 } }, 'traits', 'true, false'],
]

describe('an error, with its field and its fix:', () => {
  test.each(ERRORS)('%s', (_name, manifest, field, fix) => {
    const findings = say(JSON.stringify(manifest))
    expect(findings).toContainEqual({ level: 'error', field, fix: expect.stringContaining(fix) })
  })
})

const WARNINGS: [string, unknown, string, string][] = [
  ['v as text', { ...GOOD, v: '2' }, 'v', 'without quotes'],
  ['v that is another', { ...GOOD, v: 1 }, 'v', '"v": 2'],
  ['a size as text', { ...GOOD, ...file({ size: '379882274' }) }, 'files[0].size', 'without quotes'],
  ['the size of a volume as text', { ...VOLUME, image_size: '10240' }, 'image_size', 'without quotes'],
  ['public as text', { ...GOOD, public: 'true' }, 'public', 'without quotes'],
  [
    'a digest in capitals',
    { ...GOOD, ...file({ sha1: GOOD.files[0]!.sha1.toUpperCase() }) },
    'files[0].sha1',
    GOOD.files[0]!.sha1,
  ],
  ['no digest', { ...GOOD, ...file({ sha1: undefined }) }, 'files[0].sha1', 'sha1sum'],
  ['no size', { ...GOOD, ...file({ size: undefined }) }, 'files[0].size', 'bytes'],
  ['no compression', { ...GOOD, ...file({ compression: undefined }) }, 'files[0].compression', 'gzip'],
  ['nothing, written as null', { ...GOOD, homepage: null }, 'homepage', 'remove'],
  ['a state of the predecessor', { ...GOOD, state: 'activated' }, 'state', 'remove'],
  ['a disabled image', { ...GOOD, disabled: true }, 'disabled', 'imgapi enable'],
  ['no owner', without('owner'), 'owner', 'UUID'],
  ['a date to come', { ...GOOD, published_at: '2999-01-01T00:00:00Z' }, 'published_at', 'remove'],
  ['requirements without any', { ...GOOD, requirements: {} }, 'requirements', 'remove'],
  [
    'a zone brand on an lx image',
    { ...GOOD, type: 'lx-dataset', requirements: { brand: 'joyent' } },
    'requirements.brand',
    '"lx"',
  ],
  ['an unknown field', { ...GOOD, cloud_init: true }, 'cloud_init', '"tags"'],
  [
    'version 1 of the format',
    {
      uuid: GOOD.uuid,
      creator_uuid: GOOD.uuid,
      name: 'web',
      version: '1',
      type: 'zone-dataset',
      os: 'smartos',
      cloud_name: 'sdc',
      files: [{ path: 'web.zfs.bz2', sha1: GOOD.files[0]!.sha1, size: 5 }],
    },
    'v',
    'upgraded',
  ],
]

describe('a warning, and no error:', () => {
  test.each(WARNINGS)('%s', (_name, manifest, field, fix) => {
    const findings = say(JSON.stringify(manifest))
    expect(findings).toContainEqual({ level: 'warning', field, fix: expect.stringContaining(fix) })
    expect(findings.filter(({ level }) => level === 'error')).toEqual([])
  })
})

const good = JSON.stringify(GOOD, null, 2)

describe('a text that is no manifest:', () => {
  test.each<[string, string, string, string]>([
    ['nothing', '', 'the file', 'copy'],
    ['half of it', good.slice(0, 100), 'the file', 'correct'],
    ['a comma too many', good.replace(/\n\}$/, ',\n}'), 'the file', 'comma'],
    ['a comment', good.replace('{', '{ // mine'), 'the file', 'comment'],
    ['single quotes', good.replaceAll('"', "'"), 'the file', 'correct'],
    ['HTML of an error page', '<html>502 Bad Gateway</html>', 'the file', 'correct'],
    ['a list of manifests', `[${good}]`, 'the manifest', 'each file'],
    ['text', '"web"', 'the manifest', '{"v": 2'],
    ['null', 'null', 'the manifest', '{"v": 2'],
  ])('%s', (_name, text, field, fix) => {
    const { findings } = lint(text)
    expect(findings).toMatchObject([{ level: 'error', field, fix: expect.stringContaining(fix) }])
  })

  test('says in which line and column', () => {
    expect(lint('{\n  "v": 2,\n  oops\n}').findings[0]!.problem).toContain('line 3, column 3')
  })
})

test('a byte order mark and a field that stands twice are warnings', () => {
  expect(say(`\uFEFF${good}`)).toMatchObject([{ level: 'warning', field: 'the file' }])
  expect(say(good.replace('"v": 2', '"v": 1, "v": 2'))).toMatchObject([{ level: 'warning', field: 'v' }])
})

test('a number in a text field is a warning that shows the text, as it is written', () => {
  const text = good.replace('"1.0.0"', '1.0').replace('"web"', 'true')
  const { findings, manifest } = lint(text)
  expect(findings.map(({ level, field, fix }) => ({ level, field, fix }))).toEqual([
    { level: 'warning', field: 'name', fix: 'write it in quotes: "name": "true"' },
    { level: 'warning', field: 'version', fix: 'write it in quotes: "version": "1.0"' },
  ])
  expect(findings[1]!.problem).toBe('is a number, not text; other servers may read it as 1')
  expect(manifest).toMatchObject({ version: '1.0' })
})

test('all that is wrong is said at once', () => {
  const fields = say(JSON.stringify({ ...GOOD, name: '?', os: 'QEMU', uuid: 'x' })).map(({ field }) => field)
  expect(fields).toEqual(['uuid', 'name', 'os'])
})
