import { conformance, NOBODY } from './runner.ts'

/** Section 4.2: how images are written. */

const FULL = {
  owner: '{alice}',
  description: 'text',
  homepage: 'http://example.com/',
  eula: 'https://example.com/eula',
  requirements: { brand: 'lx' },
  users: [{ name: 'root' }],
  generate_passwords: true,
  inherited_directories: ['/opt'],
  tags: { a: 1 },
  acl: ['{bob}'],
  billing_tags: ['b'],
  traits: { ssd: true },
}
const ZVOL = { type: 'zvol', nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host', image_size: 1024 }
const ALWAYS = ['v', 'uuid', 'owner', 'name', 'version', 'state', 'disabled', 'public']

conformance('4.2 serialization', [
  {
    name: 'a new image of few fields has these keys',
    request: 'POST /images',
    body: { name: 'n', version: '1', type: 'other', os: 'other' },
    expect: {
      keys: [...ALWAYS, 'type', 'os', 'files'],
      body: { v: 2, owner: NOBODY, state: 'unactivated', disabled: false, public: false, files: [] },
    },
  },
  {
    name: 'a full image has its keys in this order',
    given: ['active', FULL],
    request: 'GET /images/{image}',
    expect: {
      keys: [
        ...ALWAYS,
        ...['published_at', 'type', 'os', 'files', 'acl', 'description', 'homepage', 'eula', 'requirements'],
        ...['users', 'generate_passwords', 'inherited_directories', 'tags', 'billing_tags', 'traits'],
      ],
    },
  },
  {
    name: 'a zvol has its drivers after the origin',
    given: ['unactivated', ZVOL],
    after: [
      {
        request: 'POST /images/{fresh}?action=import',
        body: { v: 2, uuid: '{fresh}', name: 'n', version: '1', type: 'other', os: 'other' },
      },
      { request: 'POST /images/{image}?action=update', body: { origin: '{fresh}', tags: { a: 1 } } },
    ],
    request: 'GET /images/{image}',
    expect: {
      keys: [
        ...ALWAYS,
        ...['type', 'os', 'files', 'origin', 'nic_driver', 'disk_driver', 'cpu_type', 'image_size', 'tags'],
      ],
    },
  },
  {
    name: 'an import’s urn stands after the icon',
    request: 'POST /images/{unknown}?action=import',
    body: {
      ...{ v: 2, uuid: '{unknown}', name: 'n', version: '1', type: 'other', os: 'other' },
      ...{ urn: 'a:b:c:d', description: 'text', tags: { a: 1 }, published_at: '2016-01-02T03:04:05Z' },
    },
    expect: {
      keys: [...ALWAYS, 'published_at', 'type', 'os', 'files', 'description', 'urn', 'tags'],
      body: { published_at: '2016-01-02T03:04:05Z' },
    },
  },
  {
    name: 'a file has its digest, size and compression, and nothing of ours',
    given: 'with file',
    request: 'GET /images/{image}',
    expect: {
      text: /"files": \[\n {4}\{\n {6}"sha1": "\w{40}",\n {6}"size": 1000,\n {6}"compression": "none"\n {4}\}/,
    },
  },
  {
    name: 'the operator may ask for `stor`',
    given: 'with file',
    request: 'GET /images/{image}?inclAdminFields=true',
    expect: { body: { files: [{ stor: 'local' }] } },
  },
  {
    name: 'an icon is `true`',
    given: 'unactivated',
    request: 'PUT /images/{image}/icon',
    headers: { 'content-type': 'image/gif' },
    body: 'GIF89a',
    expect: { body: { icon: true } },
  },
  {
    name: 'empty lists and texts are left out',
    given: ['unactivated', { acl: [], description: '', billing_tags: [], traits: {} }],
    request: 'GET /images/{image}',
    expect: { keys: [...ALWAYS, 'type', 'os', 'files'] },
  },
  {
    name: '12: `generate_passwords: false` is shown',
    given: ['unactivated', { generate_passwords: 'false' }],
    request: 'GET /images/{image}',
    expect: { body: { generate_passwords: false } },
  },
  {
    name: 'an error is shown while the image is failed',
    given: 'failed',
    request: 'POST /images/{image}?action=update',
    body: { error: { message: 'no', code: 'X' } },
    expect: { body: { error: { message: 'no', code: 'X' } } },
  },
  {
    name: 'an error is not shown in another state',
    given: 'unactivated',
    request: 'POST /images/{image}?action=update',
    body: { error: { message: 'no' } },
    expect: { without: ['error'] },
  },
  {
    name: 'design: operators’ fields are not for anonymous callers of a standalone server',
    given: ['active', FULL],
    request: 'GET /images/{image}',
    anonymous: true,
    expect: { without: ['billing_tags', 'traits'] },
  },
  {
    name: 'a server without channels has none in its images',
    given: 'active',
    request: 'GET /images/{image}',
    headers: { 'accept-version': '*' },
    expect: { without: ['channels', 'activated', 'expires_at'] },
  },
])

conformance(
  '4.2 in mode public',
  [
    {
      name: 'operators’ fields are never shown',
      given: ['active', { public: true, billing_tags: ['b'], traits: { ssd: true } }],
      request: 'GET /images/{image}',
      expect: { without: ['billing_tags', 'traits'] },
    },
  ],
  { config: { mode: 'public' } },
)

conformance(
  '4.2 in mode private',
  [
    {
      name: 'operators’ fields are shown to everybody',
      given: ['active', { billing_tags: ['b'], traits: { ssd: true } }],
      request: 'GET /images/{image}',
      anonymous: true,
      expect: { body: { billing_tags: ['b'], traits: { ssd: true } } },
    },
  ],
  { config: { mode: 'private' } },
)
