import { manifest } from '../../support/api.ts'
import { accepted, refused } from './field-cases.ts'
import { type Case, conformance, invalidField, invalidParameter, validationFailed } from './runner.ts'

/** Section 5: the fields that every manifest has, and the order of problems. */

const missing = (field: string): Case =>
  refused(field, undefined, validationFailed([[field, 'MissingParameter']]))

const NAME_CHARACTERS =
  'image name has invalid characters (only alpha-numeric characters and " ", ".", "-", "_" and "/" are allowed)'
const VERSION_CHARACTERS =
  'image version has invalid characters (only alpha-numeric characters and ".", "-", "_" and "/" are allowed)'
const TYPES = ['zone-dataset', 'zvol', 'lx-dataset', 'lxd', 'docker', 'other']
const OSES = ['smartos', 'linux', 'windows', 'bsd', 'illumos', 'other']
const badType = (type: string) => `invalid image type, "${type}", must be one of: ${TYPES.join(', ')}`
const badOs = (os: string) => `invalid image os, "${os}", must be one of: ${OSES.join(', ')}`
const ZVOL = { type: 'zvol', nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host', image_size: 1024 }

conformance('5 required fields', [
  ...['name', 'version', 'type', 'os'].map(missing),
  accepted('name', 'a name/with._-0'),
  accepted('name', 'n'.repeat(1024)),
  refused('name', 'n'.repeat(1025), invalidField('name', 'image name is too long, max 1024 characters')),
  ...['', 'a+b', 'ü', 'a\n'].map(name => refused('name', name, invalidField('name', NAME_CHARACTERS))),
  refused('name', {}, invalidField('name', 'image name must be a string')),
  accepted('version', '1.0+b/_-2'),
  accepted('version', '1'.repeat(512)),
  refused(
    'version',
    '1'.repeat(513),
    invalidField('version', 'image version is too long, max 512 characters'),
  ),
  ...['', '1 0', 'v€'].map(version =>
    refused('version', version, invalidField('version', VERSION_CHARACTERS)),
  ),
  ...TYPES.filter(type => type !== 'zvol').map(type => accepted('type', type)),
  ...['null', 'zone', '', 'constructor'].map(type =>
    refused('type', type, invalidField('type', badType(type))),
  ),
  ...OSES.map(os => accepted('os', os)),
  ...['null', 'SmartOS', 'toString'].map(os => refused('os', os, invalidField('os', badOs(os)))),
  accepted('v', 2),
  accepted('v', '2', 2),
  accepted('v', 0),
  accepted('v', 3),
  ...[-1, 'two', true].map(v => refused('v', v, invalidField('v', '"v" must be a positive integer'))),
  accepted('owner', 'a11ce000-0000-4000-8000-000000000001'),
  ...['nope', 'A11CE000-0000-4000-8000-000000000001', 5].map(owner =>
    refused('owner', owner, validationFailed([['owner', 'Invalid']])),
  ),
  accepted('public', true),
  accepted('public', 'true', true),
  accepted('public', 'false', false),
  ...['nope', 1, 'True'].map(value =>
    refused('public', value, invalidField('public', `invalid value for "public": ${JSON.stringify(value)}`)),
  ),
  accepted('disabled', 'true', true),
  refused('disabled', 'nope', invalidField('disabled', 'invalid value for "disabled": "nope"')),
])

const missingZvol = (field: string) =>
  refused(field, undefined, validationFailed([[field, 'MissingParameter']]), { ...ZVOL })

conformance('5 zvol fields', [
  accepted('type', 'zvol', 'zvol', ZVOL),
  ...['nic_driver', 'disk_driver', 'cpu_type', 'image_size'].map(missingZvol),
  ...['nic_driver', 'disk_driver', 'cpu_type'].map(field =>
    refused(field, [], invalidField(field, `invalid image ${field}: "[]" (must be a string)`), ZVOL),
  ),
  accepted('image_size', '10240', 10240, ZVOL),
  ...['x', 1.5, 0, -1].map(size =>
    refused(
      'image_size',
      size,
      invalidField('image_size', `invalid image image_size: "${size}" (must be a positive integer)`),
      ZVOL,
    ),
  ),
  ...['nic_driver', 'disk_driver', 'cpu_type', 'image_size'].map(field =>
    refused(field, 'virtio', invalidParameter(field, `invalid extra parameters: "${field}"`)),
  ),
])

const extra = (field: string, value: unknown = 'x') =>
  refused(field, value, invalidParameter(field, `invalid extra parameters: "${field}"`))

conformance('5 extra parameters and the order of problems', [
  ...['bogus', 'activated', 'expires_at', 'published_at', 'urn', 'creator_uuid'].map(field => extra(field)),
  extra('uuid', 'a11ce000-0000-4000-8000-000000000001'),
  extra('error', {}),
  ...['constructor', 'hasOwnProperty'].map(field => extra(field)),
  {
    name: 'all extra parameters are named, in their order',
    request: 'POST /images',
    body: manifest({ b: 1, a: 2 }),
    expect: {
      status: 422,
      code: 'InvalidParameter',
      message: 'invalid extra parameters: "b", "a"',
      errors: [
        { field: 'b', code: 'Invalid' },
        { field: 'a', code: 'Invalid' },
      ],
    },
  },
  {
    name: 'extra parameters are refused before anything is validated',
    request: 'POST /images',
    body: { bogus: 1, name: 'ü' },
    expect: invalidParameter('bogus', 'invalid extra parameters: "bogus"'),
  },
  {
    name: 'state cannot be given',
    request: 'POST /images',
    body: manifest({ state: 'active' }),
    expect: validationFailed(
      [['state', 'NotAllowed', 'Parameter cannot be set']],
      'invalid image data: "state"',
    ),
  },
  {
    name: 'files and channels are ignored',
    request: 'POST /images',
    body: manifest({ files: 'nope', channels: 5 }),
    expect: { body: { files: [] }, without: ['channels'] },
  },
  {
    name: 'an empty manifest lacks these, in this order',
    request: 'POST /images',
    body: {},
    expect: validationFailed([
      ['name', 'MissingParameter'],
      ['version', 'MissingParameter'],
      ['type', 'MissingParameter'],
      ['os', 'MissingParameter'],
    ]),
  },
  {
    name: 'problems come in the order of the contract, whatever the order of the fields',
    request: 'POST /images',
    body: {
      ...{ tags: 5, traits: 5, billing_tags: {}, users: 5, acl: 5, eula: 'x', homepage: 'x' },
      ...{ description: 'd'.repeat(10_241), os: 'x', type: 'x', public: 'x', version: 'ü', name: 'ü', v: -1 },
      ...{ disabled: 'x', generate_passwords: 'x' },
    },
    expect: {
      status: 422,
      code: 'ValidationFailed',
      message:
        'invalid image data: v, name, version, disabled, public, type, os, description, homepage, eula, acl, ' +
        'users, billing_tags, traits, tags, generate_passwords',
      errors: [
        ...[
          'v',
          'name',
          'version',
          'disabled',
          'public',
          'type',
          'os',
          'description',
          'homepage',
          'eula',
          'acl',
        ],
        ...['users', 'billing_tags', 'traits', 'tags', 'generate_passwords'],
      ].map(field => ({ field, code: 'Invalid', message: /./ })),
    },
  },
  {
    name: 'one field may have several problems',
    request: 'POST /images',
    body: manifest({ users: [1, { name: 'root' }, { nick: 'x' }] }),
    expect: validationFailed([
      ['users', 'Invalid', 'invalid image "users" entry: 1'],
      ['users', 'Invalid', 'invalid image "users" entry: {"nick":"x"}'],
    ]),
  },
])

const onlyIn = (mode: string, value: boolean): Case[] => [
  refused(
    'public',
    value,
    invalidField('public', `${value ? 'public' : 'private'} images are not allowed on a ${mode} Images API`),
  ),
  accepted('public', !value),
]

conformance(
  '5 in mode public',
  [
    ...onlyIn('public', false),
    {
      name: 'an image that leaves `public` out is private, which is refused',
      request: 'POST /images',
      body: manifest(),
      expect: {
        status: 422,
        code: 'ValidationFailed',
        errors: [{ field: 'public', code: 'Invalid', message: /./ }],
      },
    },
  ],
  { config: { mode: 'public' } },
)
conformance('5 in mode private', onlyIn('private', true), { config: { mode: 'private' } })
