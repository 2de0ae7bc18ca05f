import {
  type Case,
  casesOf,
  conformance,
  failure,
  imageNotFound,
  invalidParameter,
  notFound,
  unauthorized,
  unknownImage,
} from './runner.ts'

/** Sections 8.1 and 8.7: Ping and GetImage. */

const wrong = { authorization: `Basic ${Buffer.from('admin:wrong').toString('base64')}` }
const NOT_SEEN = notFound('image not found')
const BAD_ACCOUNT = invalidParameter('account', 'invalid "account": not a UUID: "x"')

conformance('8.1 Ping', [
  {
    name: 'design: everybody sees the pid',
    request: 'GET /ping',
    anonymous: true,
    expect: { keys: ['ping', 'version', 'imgapi', 'pid'], body: { ping: 'pong', imgapi: true } },
  },
  {
    name: 'users see their name',
    request: 'GET /ping',
    expect: { keys: ['ping', 'version', 'imgapi', 'pid', 'user'], body: { user: 'admin' } },
  },
  { name: 'wrong credentials are refused', request: 'GET /ping', headers: wrong, expect: unauthorized },
  {
    name: 'other schemes than Basic and Signature are refused',
    request: 'GET /ping',
    headers: { authorization: 'Bearer x' },
    expect: failure(401, 'UnauthorizedError', 'scheme was not "Signature"'),
  },
])

const ALICES = { owner: '{alice}' }
const seen = { body: { uuid: '{image}' } }
const read = casesOf('GET')
const anonymous = { anonymous: true }

conformance('8.7 GetImage', [
  read('an image comes with its ETag', 'active', '', { ...seen, headers: { etag: '"{etag}"' } }),
  { name: 'an unknown image', request: 'GET /images/{unknown}', expect: unknownImage },
  {
    name: 'the UUID is looked at before credentials are',
    request: 'GET /images/nope',
    headers: wrong,
    expect: notFound('/images/nope does not exist'),
  },
  {
    name: 'wrong credentials are refused',
    request: 'GET /images/{unknown}',
    headers: wrong,
    expect: unauthorized,
  },
  read('an account must be a UUID', 'active', '?account=x', BAD_ACCOUNT),
  { name: 'the account is checked first', request: 'GET /images/{unknown}?account=x', expect: BAD_ACCOUNT },
  read('an owner sees what is unactivated', ['unactivated', ALICES], '?account={alice}', seen),
  read(
    'a stranger does not, even if it is public',
    ['unactivated', { ...ALICES, public: true }],
    '?account={bob}',
    NOT_SEEN,
  ),
  read('a stranger sees what is public', ['active', { ...ALICES, public: true }], '?account={bob}', seen),
  read(
    'a stranger sees what is public and disabled',
    ['disabled', { ...ALICES, public: true }],
    '?account={bob}',
    seen,
  ),
  read('a stranger does not see what is private', ['active', ALICES], '?account={bob}', NOT_SEEN),
  read('an account in the acl sees it', ['active', { ...ALICES, acl: ['{bob}'] }], '?account={bob}', seen),
  read(
    'an account in the acl sees it disabled',
    ['disabled', { ...ALICES, acl: ['{bob}'] }],
    '?account={bob}',
    seen,
  ),
  read(
    'an account in the acl does not see it before',
    ['with file', { ...ALICES, acl: ['{bob}'] }],
    '?account={bob}',
    NOT_SEEN,
  ),
  read(
    'a failed image is its owner’s alone',
    ['failed', { ...ALICES, public: true }],
    '?account={bob}',
    NOT_SEEN,
  ),
  read('design: anybody sees what is active', 'active', '', seen, anonymous),
  read('design: anybody sees what is disabled', 'disabled', '', seen, anonymous),
  ...(['unactivated', 'with file', 'failed', 'creating'] as const).map(state =>
    read(`design: nobody sees what is ${state}`, state, '', imageNotFound, anonymous),
  ),
  read(
    'inclAdminFields is for users',
    'active',
    '?inclAdminFields=true',
    { status: 401, code: 'UnauthorizedError' },
    anonymous,
  ),
  read('inclAdminFields=false is for anybody', 'active', '?inclAdminFields=false', seen, anonymous),
  read('inclAdminFields has its own ETag', 'active', '?inclAdminFields=true', {
    headers: { etag: /^"(?!{etag})/ },
  }),
  read(
    'conditions compare the plain ETag',
    'active',
    '?inclAdminFields=true',
    { status: 304 },
    {
      headers: { 'if-none-match': '{etag}' },
    },
  ),
  read('a channel is ignored where there are none', 'active', '?channel=nope', seen),
])

for (const mode of ['public', 'private', 'dc']) {
  const given = ['unactivated', { public: mode === 'public' }] as const
  conformance(`8.7 in mode ${mode}`, [read('anybody sees any state', [...given], '', seen, anonymous)], {
    config: { mode },
  })
}
conformance(
  'design: `anonymous` narrows what is read',
  [
    read('`public`: a public image is read', ['active', { public: true }], '', seen, anonymous),
    read('`public`: a private image is not', 'active', '', imageNotFound, anonymous),
    read('`public`: nor is its file', 'active', '/file', imageNotFound, anonymous),
    read('`public`: users read it', 'active', '', seen),
  ],
  { config: { anonymous: 'public' } },
)
conformance(
  'design: `anonymous: "none"`',
  [
    ...['/images', '/images/{unknown}', '/images/{unknown}/file', '/images/{unknown}/icon'].map(
      (path): Case => ({
        name: `${path} needs credentials`,
        request: `GET ${path}`,
        anonymous: true,
        expect: unauthorized,
      }),
    ),
    { name: 'ping does not', request: 'GET /ping', anonymous: true, expect: { body: { ping: 'pong' } } },
  ],
  { config: { anonymous: 'none' } },
)
