import { accepted, refused } from './field-cases.ts'
import { type Case, conformance, invalidField, validationFailed } from './runner.ts'

/** Section 5: `requirements.*`. */

const ok = (value: unknown, shown = value) => accepted('requirements', value, shown)
const bad = (value: unknown, key: string, message: string, code = 'Invalid'): Case =>
  refused('requirements', value, invalidField(key, message, code))
const of = (key: string, what: string) => `invalid image "requirements.${key}" ${what}`

const STAMP = '20130308T102805Z'
const badStamps = ['20111231T235959Z', '20130008T102805Z', '20131308T102805Z', '20130332T102805Z'].concat([
  '20130308T242805Z',
  '20130308T106005Z',
  '20130308T102860Z',
  '20130308102805',
  '2013-03-08T10:28:05Z',
  '',
])

conformance('5 requirements', [
  ok({}),
  bad(5, 'requirements', 'invalid image "requirements" (not an object): 5'),
  bad([], 'requirements', 'invalid image "requirements" (not an object): []'),
  ok({ networks: [{ name: 'net0', description: 'public' }] }),
  bad({ networks: 5 }, 'requirements.networks', of('networks', '(not an array): 5')),
  bad({ networks: [{ name: 'x' }] }, 'requirements.networks', of('networks', 'entry: {"name":"x"}')),
  bad(
    { networks: [{ name: 'x', description: 'y', z: 1 }] },
    'requirements.networks',
    of('networks', 'entry: {"name":"x","description":"y","z":1}'),
  ),
  ok({ brand: 'lx' }),
  bad({ brand: [] }, 'requirements.brand', of('brand', '(not a string): []')),
  ok({ ssh_key: true }),
  bad({ ssh_key: 'x' }, 'requirements.ssh_key', of('ssh_key', '(not a boolean): "x"')),
  ok({ min_ram: 256, max_ram: 256 }),
  ok({ min_ram: '256' }, { min_ram: 256 }),
  bad({ min_ram: 1.5 }, 'requirements.min_ram', of('min_ram', '(not a positive integer): 1.5')),
  bad({ max_ram: 'x' }, 'requirements.max_ram', of('max_ram', '(not a positive integer): "x"')),
  bad(
    { min_ram: 512, max_ram: 256 },
    'requirements.max_ram',
    'min_ram must be <= max_ram, but:min_ram=512, max_ram=256',
  ),
  ok({ min_platform: { '7.0': STAMP }, max_platform: { '6.5': STAMP, '7.0': STAMP } }),
  ...['min_platform', 'max_platform'].flatMap(key => [
    bad({ [key]: {} }, `requirements.${key}`, of(key, '(not an object): {}')),
    bad({ [key]: 'x' }, `requirements.${key}`, of(key, '(not an object): "x"')),
    bad(
      { [key]: { '7.0': 5 } },
      `requirements.${key}`,
      of(key, 'entry: "7.0: 5" not a valid platform version'),
    ),
    ...badStamps.map(stamp =>
      bad(
        { [key]: { '7.0': stamp } },
        `requirements.${key}`,
        of(key, `entry: "7.0: ${stamp}" not a valid platform version`),
      ),
    ),
  ]),
  bad(
    { min_platform: { undefined: STAMP } },
    'requirements.min_platform',
    of('min_platform', `entry: "undefined: ${STAMP}" not a valid platform version`),
  ),
  ok({ brand: 'bhyve', bootrom: 'uefi' }),
  ok({ brand: 'bhyve', bootrom: 'bios' }),
  bad(
    { bootrom: 'uefi' },
    'requirements.bootrom',
    '"requirements.brand" not specified. "requirements.bootrom" requires "requirements.brand" to be set to "bhyve"',
    'MissingParameter',
  ),
  bad(
    { brand: 'kvm', bootrom: 'uefi' },
    'requirements.bootrom',
    'invalid bootrom "requirements.bootrom" not supported with "kvm" brand; "requirements.brand" must be "bhyve"',
  ),
  bad(
    { brand: 'bhyve', bootrom: 'grub' },
    'requirements.bootrom',
    'invalid bootrom "requirements.bootrom" invalid entry "grub"; must be one of: bios, uefi',
  ),
  bad({ cpu: 5 }, 'cpu', 'unsupported requirement "cpu"'),
  refused(
    'requirements',
    { b: 1, brand: {}, a: 1 },
    validationFailed([
      ['requirements.brand', 'Invalid', of('brand', '(not a string): {}')],
      ['b', 'Invalid', 'unsupported requirement "b"'],
      ['a', 'Invalid', 'unsupported requirement "a"'],
    ]),
  ),
])
