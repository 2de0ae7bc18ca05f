import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { ImgapiError } from '../../src/images/errors.ts'
import { type Mode, validateManifest } from '../../src/images/validate.ts'
import { fc } from '../support/properties.ts'

/** Our table of fields against the validator that the ecosystem's own tools use. */

type Manifest = Record<string, unknown>
type Problem = { field: string; code: string; message?: string }
const imgmanifest = createRequire(import.meta.url)('imgmanifest')
const ORACLES: Record<string, (manifest: Manifest) => Problem[] | null> = {
  public: imgmanifest.validatePublicManifest,
  private: imgmanifest.validatePrivateManifest,
  dc: imgmanifest.validateDcManifest,
}

const brief = (problems: Problem[]) => problems.map(({ field, code }) => `${field} ${code}`)
const theirs = (manifest: Manifest, mode: string) =>
  brief(ORACLES[mode]!({ activated: false, ...manifest }) ?? [])

function ours(manifest: Manifest, mode: string) {
  try {
    validateManifest(manifest, { mode: mode as Mode, channels: false })
    return []
  } catch (error) {
    if (error instanceof ImgapiError && error.code === 'ValidationFailed') return brief(error.errors!)
    throw error
  }
}

const UUID = '0dead000-0000-4000-8000-00000000dead'
const STAMP = '20130308T102805Z'
const absent = fc.constant(undefined)
/** Mostly right, so that manifests with none and with few problems come up too. */
const mostly = <A, B>(good: fc.Arbitrary<A>, bad: fc.Arbitrary<B>) =>
  fc.oneof({ weight: 30, arbitrary: good }, { weight: 1, arbitrary: bad })
const oneOf = (...values: unknown[]) => fc.constantFrom(...values)
const texts = (max: number, alphabet: string) =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength: 1, maxLength: max })
const object = fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3 })
const optional = <T>(value: fc.Arbitrary<T>) => fc.oneof(absent, value)

const platforms = mostly(
  fc.dictionary(
    fc.constantFrom('6.5', '7.0', '8.0'),
    mostly(oneOf(STAMP, '20991231T235959Z'), oneOf('', '20110101T000000Z', 'x')),
    { minKeys: 1 },
  ),
  oneOf({}, 'x', 5),
)
const requirements = fc.record(
  {
    networks: mostly(
      fc.array(mostly(oneOf({ name: 'net0', description: 'x' }), oneOf({}, { name: 'x' }, 'x', 5))),
      oneOf('x', 5, true),
    ),
    brand: mostly(oneOf('lx', 'kvm', 'bhyve', ''), oneOf({}, [1])),
    ssh_key: mostly(fc.boolean(), oneOf('true', 1)),
    min_ram: mostly(fc.nat(1024), oneOf(1.5, 'x', true)),
    max_ram: mostly(fc.nat(1024), oneOf(1.5, 'x', true)),
    min_platform: platforms,
    max_platform: platforms,
    bootrom: mostly(oneOf('bios', 'uefi', ''), oneOf('grub', 'x')),
    cpu: fc.nat(),
  },
  { requiredKeys: [] },
)

const url = mostly(
  oneOf('http://a.b/', 'https://a.b/c?d#e'),
  oneOf('ftp://a.b/', 'a.b', '', `http://${'a'.repeat(1025)}`),
)
const uuid = mostly(oneOf(UUID, '00000000-0000-0000-0000-000000000000'), oneOf('x', UUID.toUpperCase(), ''))
const flag = mostly(oneOf(true, false, 'true', 'false'), absent)
const driver = mostly(texts(10, 'abc'), absent)

const manifests: fc.Arbitrary<Manifest> = fc
  .record({
    /** Which images of other types than zvol must not have. */
    hasDrivers: mostly(fc.constant(false), fc.constant(true)),
    v: mostly(oneOf(2, 0, 3, '2'), oneOf(undefined, -1, 'two')),
    uuid: mostly(uuid, absent),
    owner: mostly(uuid, absent),
    name: mostly(texts(30, 'aZ09._/ -'), oneOf(undefined, '', 'ü', 'a+b', 'n'.repeat(1025))),
    version: mostly(texts(30, 'aZ09._/+-'), oneOf(undefined, '', 'ü', '1 0', 'n'.repeat(513))),
    disabled: oneOf(true, false, 'true', 'false'),
    published_at: optional(
      mostly(oneOf('2016-01-01T00:00:00Z', '2016-01-01T00:00:00.000Z'), oneOf('2016', 'x')),
    ),
    public: flag,
    state: mostly(oneOf('active', 'unactivated', 'disabled', 'failed', 'creating'), oneOf('x', '')),
    type: mostly(
      oneOf('zone-dataset', 'zvol', 'lx-dataset', 'lxd', 'docker', 'other'),
      oneOf(undefined, 'x', '', 5),
    ),
    os: mostly(oneOf('smartos', 'linux', 'windows', 'bsd', 'illumos', 'other'), oneOf(undefined, 'x', '', 5)),
    files: optional(oneOf([], [{ sha1: 'a'.repeat(40), size: 5, compression: 'gzip' }])),
    nic_driver: driver,
    disk_driver: driver,
    cpu_type: driver,
    image_size: mostly(oneOf(1, 10_240, '10240'), oneOf(undefined, 1.5, 'x')),
    description: optional(mostly(fc.string(), fc.constant('x'.repeat(10_241)))),
    homepage: optional(url),
    eula: optional(url),
    origin: optional(uuid),
    error: optional(mostly(object, oneOf('x', 5))),
    acl: optional(mostly(fc.array(uuid, { maxLength: 3 }), oneOf(5, {}))),
    requirements: optional(requirements),
    users: optional(
      mostly(fc.array(mostly(oneOf({ name: 'root' }), oneOf({}, 'x', { name: 'a', b: 1 }))), oneOf(5, {})),
    ),
    billing_tags: optional(mostly(fc.array(mostly(fc.string(), oneOf({}, 'x'.repeat(129)))), oneOf({}))),
    traits: optional(
      mostly(fc.dictionary(texts(5, 'abc'), mostly(oneOf('x', true, [1]), oneOf(5, {}))), oneOf('x', 5)),
    ),
    tags: optional(mostly(object, oneOf('x', 5, [], { a: 'x'.repeat(102_400) }))),
    generate_passwords: optional(oneOf(true, false, 'true', 'false')),
    inherited_directories: optional(mostly(fc.array(mostly(fc.string(), oneOf([], {}))), oneOf('x', {}))),
  })
  .map(({ hasDrivers, ...manifest }) => {
    const { nic_driver, disk_driver, cpu_type, image_size, ...others } = manifest
    const present = manifest.type === 'zvol' || hasDrivers ? manifest : others
    return Object.fromEntries(Object.entries(present).filter(([, value]) => value !== undefined))
  })

describe('the same manifests are accepted, with the same problems in the same order', () => {
  test.for(Object.keys(ORACLES))('in mode %s', mode => {
    let accepted = 0
    fc.assert(
      fc.property(manifests, manifest => {
        const problems = theirs(manifest, mode)
        expect(ours(manifest, mode)).toEqual(problems)
        if (problems.length === 0) accepted++
      }),
      { numRuns: 1500 },
    )
    expect(accepted).toBeGreaterThan(50)
    expect(accepted).toBeLessThan(1400)
  })
})

const GOOD: Manifest = {
  ...{ v: 2, uuid: UUID, owner: UUID, name: 'n', version: '1', disabled: false, public: true },
  ...{ state: 'unactivated', type: 'zone-dataset', os: 'smartos', files: [] },
}
const ZVOL = { type: 'zvol', nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host', image_size: 1 }

test('the manifest that the differences start from is fine for both', () => {
  for (const manifest of [GOOD, { ...GOOD, ...ZVOL }]) {
    expect(theirs(manifest, 'dc')).toEqual([])
    expect(ours(manifest, 'dc')).toEqual([])
  }
})

const REFUSED_HERE: [string, Manifest, string][] = [
  ['a description that is no text', { description: [] }, 'description Invalid'],
  ['v that is not whole', { v: 1.5 }, 'v Invalid'],
  ['v that is a flag', { v: true }, 'v Invalid'],
  ['v of null', { v: null }, 'v Invalid'],
  ['an image_size of 0', { ...ZVOL, image_size: 0 }, 'image_size Invalid'],
  ['an image_size below 0', { ...ZVOL, image_size: -1 }, 'image_size Invalid'],
  ['min_ram below 0', { requirements: { min_ram: -1 } }, 'requirements.min_ram Invalid'],
  [
    'a platform of "undefined"',
    { requirements: { min_platform: { undefined: STAMP } } },
    'requirements.min_platform Invalid',
  ],
  [
    'a platform stamp with letters',
    { requirements: { min_platform: { '7.0': '2013aa08T102805Z' } } },
    'requirements.min_platform Invalid',
  ],
  ['platforms in a list', { requirements: { min_platform: [STAMP] } }, 'requirements.min_platform Invalid'],
  ['a user whose name is no text', { users: [{ name: [] }] }, 'users Invalid'],
  ['traits in a list', { traits: [] }, 'traits Invalid'],
  ['an error in a list', { error: [] }, 'error Invalid'],
  ['requirements that are text', { requirements: '' }, 'requirements Invalid'],
  ['a type of "constructor"', { type: 'constructor' }, 'type Invalid'],
  ['an os of "toString"', { os: 'toString' }, 'os Invalid'],
  ['a type of "null" while creating', { state: 'creating', type: 'null' }, 'type Invalid'],
  ['an empty driver of an image that is no zvol', { nic_driver: '' }, 'nic_driver Invalid'],
  ['a file without a real digest', { files: [{ sha1: 'x', size: 5, compression: 'none' }] }, 'files Invalid'],
]

test.for(REFUSED_HERE)('on purpose, %s is refused here and accepted there', ([, fields, problem]) => {
  const manifest = { ...GOOD, ...fields }
  expect(theirs(manifest, 'dc')).toEqual([])
  expect(ours(manifest, 'dc')).toEqual([problem])
})

const ACCEPTED_HERE: [string, Manifest, Manifest][] = [
  [
    'RAM given as text',
    { requirements: { min_ram: '5', max_ram: '6' } },
    { requirements: { min_ram: 5, max_ram: 6 } },
  ],
  ['an acl that is one UUID', { acl: UUID }, { acl: [UUID] }],
  ['billing tags that are one text', { billing_tags: 'a' }, { billing_tags: ['a'] }],
  ['a billing tag that is a number', { billing_tags: 5 }, { billing_tags: ['5'] }],
  ['billing tags that are numbers', { billing_tags: [5, 'a'] }, { billing_tags: ['5', 'a'] }],
  ['a directory that is a number', { inherited_directories: [5] }, { inherited_directories: ['5'] }],
  ['a driver that is a number', { ...ZVOL, nic_driver: 5 }, { nic_driver: '5' }],
  ['a brand that is a number', { requirements: { brand: 5 } }, { requirements: { brand: '5' } }],
]

test.for(ACCEPTED_HERE)('on purpose, %s is accepted here and refused there', ([, fields, typed]) => {
  const manifest = { ...GOOD, ...fields }
  expect(theirs(manifest, 'dc')).not.toEqual([])
  expect(validateManifest(manifest, { mode: 'dc', channels: false })).toMatchObject(typed)
})

const TEXT_HERE: [string, Manifest, Manifest][] = [
  ['a name that is a number', { name: 5 }, { name: '5' }],
  ['a version that is a number', { version: 1.5 }, { version: '1.5' }],
  ['a version that is a flag', { version: true }, { version: 'true' }],
  ['a description that is a number', { description: 5 }, { description: '5' }],
  ['a user whose name is a number', { users: [{ name: 5 }] }, { users: [{ name: '5' }] }],
]

test.for(TEXT_HERE)('on purpose, %s is kept as text here and as it is there', ([, fields, typed]) => {
  const manifest = { ...GOOD, ...fields }
  expect(theirs(manifest, 'dc')).toEqual([])
  expect(validateManifest(manifest, { mode: 'dc', channels: false })).toMatchObject(typed)
})

const THROWS_THERE: [string, Manifest, string][] = [
  ['a name of null', { name: null }, 'name Invalid'],
  ['a version of null', { version: null }, 'version Invalid'],
  ['a homepage that is a number', { homepage: 5 }, 'homepage Invalid'],
  ['a eula of null', { eula: null }, 'eula Invalid'],
  ['disabled that is no flag', { disabled: 'nope' }, 'disabled Invalid'],
  ['generate_passwords that is no flag', { generate_passwords: 'nope' }, 'generate_passwords Invalid'],
  ['requirements of null', { requirements: null }, 'requirements Invalid'],
  ['a network of null', { requirements: { networks: [null] } }, 'requirements.networks Invalid'],
  [
    'a platform of null',
    { requirements: { min_platform: { '7.0': null } } },
    'requirements.min_platform Invalid',
  ],
  ['tags of null', { tags: null }, 'tags Invalid'],
  ['a user of null', { users: [null] }, 'users Invalid'],
]

test.for(THROWS_THERE)('%s, which breaks the other validator, is a problem here', ([, fields, problem]) => {
  const manifest = { ...GOOD, ...fields }
  expect(() => theirs(manifest, 'dc')).toThrow(TypeError)
  expect(ours(manifest, 'dc')).toEqual([problem])
})

test('whatever a field holds, the answer is a manifest or ValidationFailed', () => {
  const anything = fc.dictionary(
    fc.constantFrom(...Object.keys(GOOD), 'requirements', 'tags', 'acl', 'users', 'traits'),
    fc.anything(),
  )
  fc.assert(
    fc.property(anything, fields => {
      ours({ ...GOOD, ...fields }, 'standalone')
    }),
    { numRuns: 2000 },
  )
})
