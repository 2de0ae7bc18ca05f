import {
  type Case,
  casesOf,
  conformance,
  type Expectation,
  failure,
  invalidParameter,
  notFound,
  unauthorized,
  unknownImage,
} from './runner.ts'

/** Section 8.18: CloneImage, which datacenters have. What becomes of origins is in clone.test.ts. */

const SHARED = { owner: '{alice}', acl: ['{bob}'] }
const NOT_SEEN = notFound('image not found')
const refused = (field: string, message: string): Expectation => ({
  ...failure(422, 'ValidationFailed', message),
  errors: [{ field, code: 'Invalid', message }],
})
const notShared = (account: string) =>
  failure(422, 'ImageNotShared', `Image {image} is not shared with account ${account}`)

const clone = casesOf('POST', '/images/{image}/clone')

const docker = { ...SHARED, type: 'docker', tags: { 'docker:id': 'sha256:1' } }

const CLONE: Case[] = [
  clone('an account clones what is shared with it', ['active', SHARED], '?account={bob}', {
    body: {
      owner: '{bob}',
      state: 'active',
      disabled: false,
      name: 'test-image',
      files: [{ sha1: '{sha1}' }],
    },
    without: ['acl'],
    headers: { etag: undefined, 'content-type': 'application/json' },
  }),
  {
    ...clone('the original stays as it was', ['active', SHARED], '?account={bob}', { status: 200 }),
    leaves: { uuid: '{image}', ...SHARED },
  },
  clone('what is disabled is cloned too, and is not then', ['disabled', SHARED], '?account={bob}', {
    body: { owner: '{bob}', state: 'active', disabled: false },
  }),
  clone(
    'its fields come along',
    ['active', { ...SHARED, description: 'd', tags: { a: 'b' }, public: true }],
    '?account={bob}',
    {
      body: { description: 'd', tags: { a: 'b' }, public: true, version: '1.0.0' },
    },
  ),
  {
    ...clone('credentials are needed', ['active', SHARED], '?account={bob}', unauthorized),
    anonymous: true,
  },
  {
    name: 'the UUID must be one',
    request: 'POST /images/nope/clone',
    expect: notFound('/images/nope/clone does not exist'),
  },
  { name: 'an unknown image', request: 'POST /images/{unknown}/clone?account={bob}', expect: unknownImage },
  clone(
    'the account must be a UUID',
    ['active', SHARED],
    '?account=x',
    invalidParameter('account', 'invalid "account": not a UUID: "x"'),
  ),
  clone(
    'an account must be given',
    ['active', SHARED],
    '',
    invalidParameter('account', 'invalid "account": not a UUID: "undefined"'),
  ),
  clone('a stranger does not see it', ['active', SHARED], '?account={unknown}', NOT_SEEN),
  clone(
    'who sees it because it is public has to be in its acl',
    ['active', { ...SHARED, public: true }],
    '?account={unknown}',
    notShared('{unknown}'),
  ),
  clone('so has its owner', ['active', SHARED], '?account={alice}', notShared('{alice}')),
  clone(
    'an owner in its own acl clones',
    ['active', { owner: '{alice}', acl: ['{alice}'] }],
    '?account={alice}',
    {
      body: { owner: '{alice}' },
    },
  ),
  ...(['unactivated', 'with file', 'failed', 'creating'] as const).map(state =>
    clone(
      `an image that is ${state} is not active`,
      [state, { owner: '{bob}', acl: ['{bob}'] }],
      '?account={bob}',
      refused('active', 'image is not active'),
    ),
  ),
  clone(
    'docker images are not cloned',
    ['active', docker],
    '?account={bob}',
    refused('type', 'docker images cannot be cloned'),
  ),
  {
    name: 'an image of two files is not cloned',
    given: ['unactivated', { ...SHARED, type: 'lxd' }],
    after: [
      { request: 'PUT /images/{image}/file?compression=none', body: 'meta' },
      { request: 'PUT /images/{image}/file?compression=none&index=1', body: 'root' },
      'POST /images/{image}?action=activate',
    ],
    request: 'POST /images/{image}/clone?account={bob}',
    expect: failure(400, 'NotImplemented', 'cannot clone an image with multiple files'),
  },
  {
    name: 'GET is not allowed',
    request: 'GET /images/{unknown}/clone',
    expect: { status: 405, code: 'MethodNotAllowedError', headers: { allow: 'POST' } },
  },
]

conformance('8.18 CloneImage', CLONE, { config: { mode: 'dc' } })
