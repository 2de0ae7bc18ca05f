import {
  type Case,
  conformance,
  type Expectation,
  failure,
  imageNotFound,
  invalidParameter,
  notFound,
  unauthorized,
  unknownImage,
} from './runner.ts'

/** Sections 7 and 8.15: what accounts may do, and AddImageAcl and RemoveImageAcl. */

const ALICES = { owner: '{alice}' }
const SHARED = { ...ALICES, acl: ['{bob}'] }
const BAD_ACCOUNT = invalidParameter('account', 'invalid "account": not a UUID: "x"')
const NOT_SEEN = notFound('image not found')
const NOT_OWNER = failure(422, 'NotImageOwner', 'account {bob} is not the owner of image {image}')
const OPERATOR_ONLY = failure(403, 'OperatorOnly', 'this endpoint may only be called by an operator')
const notUuid = (index: number, value: string) =>
  invalidParameter('acl', `invalid image "acl" (item ${index} is not a UUID): ${value}`)

const acl = (
  name: string,
  given: Case['given'] & {},
  query: string,
  body: unknown,
  expect: Expectation,
): Case => ({
  name,
  given,
  request: `POST /images/{image}/acl${query}`,
  ...(body !== undefined && { body }),
  expect,
})

const ACL: Case[] = [
  acl('an account is added', 'active', '', ['{alice}'], {
    body: { acl: ['{alice}'] },
    headers: { etag: /^"/ },
  }),
  acl('action=add is the same', 'active', '?action=add', ['{alice}'], { body: { acl: ['{alice}'] } }),
  acl(
    'design: an empty action is refused, since it may be meant to remove',
    sharedWith('{alice}'),
    '?action=',
    ['{alice}'],
    invalidParameter('action', /^the parameter "action" is empty/),
  ),
  acl('several are added in their order', sharedWith('{bob}'), '', ['{unknown}', '{alice}'], {
    body: { acl: ['{bob}', '{unknown}', '{alice}'] },
  }),
  acl('one that is there is not added twice', sharedWith('{bob}'), '', ['{bob}', '{bob}'], {
    body: { acl: ['{bob}'] },
  }),
  acl(
    'one is added to a list that came with the same one twice',
    sharedWith('{bob}', '{bob}'),
    '',
    ['{alice}'],
    {
      body: { acl: ['{bob}', '{alice}'] },
    },
  ),
  acl('nothing is added by an empty array', sharedWith('{bob}'), '', [], { body: { acl: ['{bob}'] } }),
  acl('accounts are removed', sharedWith('{bob}', '{alice}'), '?action=remove', ['{bob}'], {
    body: { acl: ['{alice}'] },
  }),
  acl('an empty list is not shown', sharedWith('{bob}'), '?action=remove', ['{bob}'], { without: ['acl'] }),
  acl('who is not there is not removed', sharedWith('{bob}'), '?action=remove', ['{alice}'], {
    body: { acl: ['{bob}'] },
  }),
  ...(['unactivated', 'disabled', 'failed'] as const).map(state =>
    acl(`a ${state} image has one too`, state, '', ['{alice}'], { body: { acl: ['{alice}'] } }),
  ),
  acl('a public image has one too', ['active', { public: true }], '', ['{alice}'], {
    body: { acl: ['{alice}'] },
  }),
  acl(
    'another action is refused',
    'active',
    '?action=bogus',
    [],
    invalidParameter('action', '"bogus" is not a valid action'),
  ),
  ...[{}, { acl: [] }, 'null', '"x"', '5', undefined].map(body =>
    acl(
      `${JSON.stringify(body) ?? 'no body'} is no list`,
      'active',
      '',
      body,
      invalidParameter('acl', 'invalid image "acl" (not an array)'),
    ),
  ),
  acl('the list must be JSON', 'active', '', '[', failure(400, 'InvalidContent', /^Invalid JSON: /)),
  acl('each must be a UUID', 'active', '', ['{bob}', 'x'], notUuid(1, 'x')),
  acl(
    'in lower case',
    'active',
    '',
    ['A11CE000-0000-4000-8000-000000000001'],
    notUuid(0, 'A11CE000-0000-4000-8000-000000000001'),
  ),
  acl('and text', 'active', '', [5], notUuid(0, '5')),
  { ...acl('credentials are needed', 'active', '', ['{bob}'], unauthorized), anonymous: true },
  {
    name: 'credentials are looked at before the UUID is',
    request: 'POST /images/nope/acl',
    anonymous: true,
    expect: unauthorized,
  },
  {
    name: 'the UUID must be one',
    request: 'POST /images/nope/acl',
    expect: notFound('/images/nope/acl does not exist'),
  },
  { name: 'an unknown image', request: 'POST /images/{unknown}/acl', body: [], expect: unknownImage },
  {
    name: 'the image is looked for before the list is checked',
    request: 'POST /images/{unknown}/acl',
    body: ['x'],
    expect: unknownImage,
  },
  acl('an owner shares', ['active', ALICES], '?account={alice}', ['{bob}'], { body: { acl: ['{bob}'] } }),
  acl('who it is shared with does not', ['active', SHARED], '?account={bob}', ['{bob}'], NOT_OWNER),
  acl('a stranger does not see it', ['active', ALICES], '?account={bob}', ['{bob}'], NOT_SEEN),
  acl('an account must be a UUID', 'active', '?account=x', [], BAD_ACCOUNT),
  {
    name: 'an account that was added sees the image',
    given: ['active', ALICES],
    after: [{ request: 'POST /images/{image}/acl', body: ['{bob}'] }],
    request: 'GET /images/{image}/file?account={bob}',
    expect: { headers: { 'content-md5': '{md5}' } },
  },
  {
    name: 'an account that was removed does not',
    given: ['active', SHARED],
    after: [{ request: 'POST /images/{image}/acl?action=remove', body: ['{bob}'] }],
    request: 'GET /images/{image}/file?account={bob}',
    expect: NOT_SEEN,
  },
]

function sharedWith(...accounts: string[]): Case['given'] & {} {
  return ['active', { acl: accounts }]
}

/** Requests that change an image, and what the owner of an active one gets. */
const CHANGES: [request: string, body?: unknown][] = [
  ['POST /images/{image}?action=update&account={account}', { description: 'new' }],
  ['POST /images/{image}?action=disable&account={account}'],
  ['POST /images/{image}?action=enable&account={account}'],
  ['POST /images/{image}/acl?account={account}', []],
  ['DELETE /images/{image}?account={account}'],
]
const ACCOUNTS: Case[] = [
  ...CHANGES.flatMap(([request, body]): Case[] => {
    const as = (account: string) => ({
      request: request.replace('{account}', account),
      ...(body !== undefined && { body }),
    })
    const what = request
      .replace('{image}', 'image')
      .replace('&account={account}', '')
      .replace('?account={account}', '')
    return [
      {
        name: `${what} is the owner’s`,
        given: ['active', ALICES],
        ...as('{alice}'),
        expect: { status: request.startsWith('DELETE') ? 204 : 200 },
      },
      {
        name: `${what} is not for who it is shared with`,
        given: ['active', SHARED],
        ...as('{bob}'),
        expect: NOT_OWNER,
      },
      {
        name: `${what} is not for who sees it`,
        given: ['active', { ...ALICES, public: true }],
        ...as('{bob}'),
        expect: NOT_OWNER,
      },
      {
        name: `${what} does not exist for strangers`,
        given: ['active', ALICES],
        ...as('{bob}'),
        expect: NOT_SEEN,
      },
      {
        name: `${what} wants an account that is a UUID`,
        given: ['active', ALICES],
        ...as('x'),
        expect: BAD_ACCOUNT,
      },
    ]
  }),
  ...['', '/file', '/icon'].map(
    (part): Case => ({
      name: `GET image${part} does not exist for strangers`,
      given: ['active', ALICES],
      request: `GET /images/{image}${part}?account={bob}`,
      expect: NOT_SEEN,
    }),
  ),
  {
    name: 'uploads are the owner’s',
    given: ['unactivated', ALICES],
    request: 'PUT /images/{image}/file?compression=none&account={alice}',
    body: 'content',
    expect: { body: { files: [{ size: 7, compression: 'none' }] } },
  },
  {
    name: 'uploads do not exist for strangers',
    given: ['unactivated', { ...ALICES, public: true }],
    request: 'PUT /images/{image}/file?compression=none&account={bob}',
    body: 'content',
    expect: NOT_SEEN,
  },
  {
    name: 'activation is the owner’s',
    given: ['with file', ALICES],
    request: 'POST /images/{image}?action=activate&account={alice}',
    expect: { body: { state: 'active' } },
  },
  {
    name: 'an account does not choose the storage',
    given: ['unactivated', ALICES],
    request: 'PUT /images/{image}/file?compression=none&storage=local&account={alice}',
    body: 'content',
    expect: {
      ...failure(422, 'InvalidParameter', 'invalid storage "local"'),
      errors: [
        { field: 'storage', code: 'NotAllowed', message: 'Parameter cannot be specified by non-operators' },
      ],
    },
  },
  ...['import', 'import&source=http://example.com', 'import-remote&source=http://example.com'].map(
    (action): Case => ({
      name: `action=${action} is an operator’s`,
      request: `POST /images/{unknown}?action=${action}&account={alice}`,
      body: {},
      expect: OPERATOR_ONLY,
    }),
  ),
  {
    name: 'change-stor is an operator’s',
    given: ['active', ALICES],
    request: 'POST /images/{image}?action=change-stor&stor=local&account={alice}',
    expect: OPERATOR_ONLY,
  },
  {
    name: 'change-stor does not exist for strangers',
    given: ['active', ALICES],
    request: 'POST /images/{image}?action=change-stor&stor=local&account={bob}',
    expect: NOT_SEEN,
  },
  {
    name: 'a new image is the account’s',
    request: 'POST /images?account={alice}',
    body: { name: 'a', version: '1', type: 'other', os: 'other' },
    expect: { body: { owner: '{alice}' } },
  },
  {
    name: 'a new image is nobody else’s',
    request: 'POST /images?account={alice}',
    body: { name: 'a', version: '1', type: 'other', os: 'other', owner: '{bob}' },
    expect: invalidParameter(
      'owner',
      'invalid owner: given owner, "{bob}", does not match account, "{alice}"',
    ),
  },
  {
    name: 'an operator sees everything',
    given: ['unactivated', ALICES],
    request: 'GET /images/{image}',
    expect: { body: ALICES },
  },
  {
    name: 'an account says nothing about who is asking: strangers still have no credentials',
    given: ['unactivated', ALICES],
    request: 'GET /images/{image}?account={alice}',
    anonymous: true,
    expect: imageNotFound,
  },
]

conformance('8.15 AddImageAcl and RemoveImageAcl', ACL)
conformance('7 accounts', ACCOUNTS)
