import { manifest } from '../../support/api.ts'
import { accepted, refused } from './field-cases.ts'
import { conformance, failure, invalidField, UNKNOWN, validationFailed } from './runner.ts'

/** Section 5: the fields that a manifest may have. */

const link = (field: string, label: string) => [
  accepted(field, 'http://example.com/'),
  accepted(field, 'https://example.com/x?y#z'),
  ...['ftp://example.com/', 'example.com', '/path', 'javascript:alert(1)', ''].map(url =>
    refused(field, url, invalidField(field, `invalid image ${label} URL protocol`)),
  ),
  refused(
    field,
    `http://example.com/${'x'.repeat(1024)}`,
    invalidField(field, `image ${label} URL is too long (max 1024 characters)`),
  ),
  refused(field, [], invalidField(field, `image ${label} must be a string`)),
]

conformance('5 optional fields', [
  accepted('description', 'd'.repeat(10_240)),
  refused(
    'description',
    'd'.repeat(10_241),
    invalidField('description', 'image description is too long, max 10240 characters'),
  ),
  refused('description', {}, invalidField('description', 'image description must be a string')),
  ...link('homepage', 'homepage'),
  ...link('eula', 'EULA'),
  refused('origin', UNKNOWN, failure(422, 'OriginDoesNotExist', 'origin image "{unknown}" does not exist')),
  refused('origin', 'nope', failure(422, 'OriginDoesNotExist', 'origin image "nope" does not exist')),
  {
    name: 'origin: an image in any state will do',
    given: 'unactivated',
    request: 'POST /images',
    body: manifest({ origin: '{image}' }),
    expect: { body: { origin: '{image}' } },
  },

  accepted('acl', [UNKNOWN]),
  accepted('acl', UNKNOWN, [UNKNOWN]),
  refused('acl', ['x'], invalidField('acl', 'invalid image "acl" (item 0 is not a UUID): x')),
  refused('acl', [UNKNOWN, 'y', 'z'], invalidField('acl', 'invalid image "acl" (item 1 is not a UUID): y')),
  refused('acl', 5, invalidField('acl', 'invalid image "acl" (not an array): 5')),

  accepted('users', [{ name: 'root' }, { name: 'admin' }]),
  refused(
    'users',
    [{ name: 'r', x: 1 }],
    invalidField('users', 'invalid image "users" entry: {"name":"r","x":1}'),
  ),
  refused('users', [{}], invalidField('users', 'invalid image "users" entry: {}')),
  refused('users', ['root'], invalidField('users', 'invalid image "users" entry: "root"')),
  refused(
    'users',
    { name: 'r' },
    invalidField('users', 'invalid image "users" (not an array): {"name":"r"}'),
  ),

  accepted('billing_tags', ['a', 'b']),
  accepted('billing_tags', 'a', ['a']),
  accepted('billing_tags', ['t'.repeat(128)]),
  refused(
    'billing_tags',
    ['t'.repeat(129)],
    invalidField('billing_tags', `invalid image "billing_tags" entry : ${'t'.repeat(129)}`),
  ),
  refused('billing_tags', ['a', {}], invalidField('billing_tags', 'invalid image "billing_tags" entry : {}')),
  refused(
    'billing_tags',
    {},
    invalidField('billing_tags', 'invalid image "billing_tags" (not an array): {}'),
  ),

  accepted('traits', { a: 'x', b: true, c: [1] }),
  refused('traits', { a: 5 }, invalidField('traits', 'invalid image "traits" entry: (a, 5)')),
  refused('traits', { a: { b: 1 } }, invalidField('traits', 'invalid image "traits" entry: (a, {"b":1})')),
  refused('traits', 'x', invalidField('traits', 'invalid image "traits" (not an object): "x"')),

  accepted('tags', { a: 'x', n: 5, t: true, nil: null, list: [1], deep: { er: { still: 1 } } }),
  accepted('tags', { 'with.dots:and colons': '' }),
  accepted('tags', { a: 'x'.repeat(102_400 - '{"a":""}'.length) }),
  refused(
    'tags',
    { a: 'x'.repeat(102_400) },
    invalidField('tags', 'image "tags" object is too big: 102408 characters (max 102400)'),
  ),
  refused('tags', ['x'], invalidField('tags', 'invalid image "tags" (not an object): ["x"]')),
  refused('tags', 'x', invalidField('tags', 'invalid image "tags" (not an object): "x"')),

  accepted('generate_passwords', true),
  accepted('generate_passwords', 'true', true),
  refused(
    'generate_passwords',
    'nope',
    invalidField('generate_passwords', 'invalid value for "generate_passwords": "nope"'),
  ),

  accepted('inherited_directories', ['/opt', '/usr']),
  refused(
    'inherited_directories',
    [[]],
    invalidField('inherited_directories', 'invalid image "inherited_directories" entry: []'),
  ),
  refused(
    'inherited_directories',
    ['/opt'],
    invalidField(
      'inherited_directories',
      'invalid image "inherited_directories" (only valid for a type:zone-dataset image): ["/opt"]',
    ),
    { type: 'lx-dataset' },
  ),
  {
    name: 'design: null is an absent field, on create too',
    request: 'POST /images',
    body: manifest({
      description: null,
      tags: null,
      requirements: null,
      public: null,
      origin: null,
      icon: null,
    }),
    expect: { body: { public: false }, without: ['description', 'tags', 'requirements', 'origin'] },
  },
  {
    name: 'design: null is an absent field, also where one is needed',
    request: 'POST /images',
    body: manifest({ name: null }),
    expect: validationFailed([['name', 'MissingParameter']]),
  },
])
