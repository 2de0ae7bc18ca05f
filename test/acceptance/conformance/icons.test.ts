import {
  type Case,
  CONTENT,
  conformance,
  failure,
  imageNotFound,
  notFound,
  unauthorized,
  unknownImage,
} from './runner.ts'

/** Section 8.16: icons. */

const PNG = { 'content-type': 'image/png' }
const TYPES = 'image/jpeg, image/gif, image/png'
const add = (
  name: string,
  headers: Record<string, string>,
  expect: Case['expect'],
  more: Partial<Case> = {},
): Case => ({
  name,
  given: 'active',
  request: 'PUT /images/{image}/icon',
  body: CONTENT,
  headers,
  expect,
  ...more,
})
const stored = { body: { icon: true }, headers: { etag: /^"[0-9a-f]{40}"$/ } }
const upload = (message: string | RegExp) => failure(400, 'Upload', message)
const refused = { after: [], leaves: {} }

/** A case about an image that has an icon. */
const withIcon = (name: string, request: string, expect: Case['expect'], more: Partial<Case> = {}): Case => ({
  name,
  given: 'active',
  after: [{ request: 'PUT /images/{image}/icon', body: CONTENT, headers: PNG }],
  request,
  expect,
  ...more,
})

conformance('8.16 AddImageIcon', [
  ...['image/jpeg', 'image/gif', 'image/png'].map(type =>
    add(`an icon of ${type}`, { 'content-type': type }, stored),
  ),
  ...['image/svg+xml', 'image/png; x=y', 'IMAGE/PNG', 'text/plain'].map(type =>
    add(
      `no icon of ${type}`,
      { 'content-type': type },
      upload(`invalid content-type, ${type}, must be one of ${TYPES}`),
      refused,
    ),
  ),
  add('no icon without a type', {}, upload(`invalid content-type, undefined, must be one of ${TYPES}`)),
  add('128 KiB are allowed', PNG, stored, { body: new Uint8Array(131_072) }),
  add(
    'one byte more is not',
    PNG,
    upload('icon size 131073 (from Content-Length) exceeds the maximum allowed size, 128 KiB'),
    {
      body: new Uint8Array(131_073),
    },
  ),
  add('12: an empty icon is refused', PNG, { status: 400, code: 'Upload' }, { body: '' }),
  add('a matching sha1', PNG, stored, { request: 'PUT /images/{image}/icon?sha1={sha1}' }),
  add(
    'another sha1',
    PNG,
    upload('"sha1" hash, bad, does not match the uploaded icon file sha1 hash, {sha1}'),
    {
      request: 'PUT /images/{image}/icon?sha1=bad',
    },
  ),
  add(
    'another storage',
    PNG,
    { status: 422, code: 'InvalidParameter', errors: [{ field: 'storage', code: 'Invalid' }] },
    {
      request: 'PUT /images/{image}/icon?storage=x',
    },
  ),
  add('the type is checked before the storage', { 'content-type': 'x/y' }, upload(/^invalid content-type/), {
    request: 'PUT /images/{image}/icon?storage=x',
  }),
  add('credentials are needed', PNG, unauthorized, { anonymous: true }),
  add('an unknown image', PNG, unknownImage, { request: 'PUT /images/{unknown}/icon' }),
  add(
    'only the owner adds an icon',
    PNG,
    { status: 422, code: 'NotImageOwner' },
    {
      given: ['active', { public: true }],
      request: 'PUT /images/{image}/icon?account={bob}',
    },
  ),
])

conformance('8.16 GetImageIcon', [
  withIcon('an icon comes as it was sent', 'GET /images/{image}/icon', {
    headers: {
      'content-type': 'image/png',
      'content-length': '1000',
      'content-md5': '{md5}',
      etag: '"{sha1}"',
      'last-modified': /GMT$/,
    },
  }),
  withIcon('anybody reads it', 'GET /images/{image}/icon', {}, { anonymous: true }),
  withIcon(
    'If-None-Match',
    'GET /images/{image}/icon',
    { status: 304 },
    { headers: { 'if-none-match': '"{sha1}"' } },
  ),
  withIcon(
    'a new one replaces it',
    'GET /images/{image}/icon',
    { text: 'GIF', headers: { 'content-type': 'image/gif' } },
    {
      after: [
        { request: 'PUT /images/{image}/icon', body: CONTENT, headers: PNG },
        { request: 'PUT /images/{image}/icon', body: 'GIF', headers: { 'content-type': 'image/gif' } },
      ],
    },
  ),
  {
    name: 'no icon',
    given: 'active',
    request: 'GET /images/{image}/icon',
    expect: notFound('image "{image}" has no icon'),
  },
  { name: 'an unknown image', request: 'GET /images/{unknown}/icon', expect: unknownImage },
  {
    name: 'design: nobody reads the icon of an unactivated image',
    given: 'unactivated',
    request: 'GET /images/{image}/icon',
    anonymous: true,
    expect: imageNotFound,
  },
])

conformance('8.16 DeleteImageIcon', [
  withIcon('it is gone', 'DELETE /images/{image}/icon', { without: ['icon'], headers: { etag: '"{etag}"' } }),
  {
    name: '12: no icon',
    given: 'active',
    request: 'DELETE /images/{image}/icon',
    expect: notFound('image "{image}" has no icon'),
  },
  withIcon('credentials are needed', 'DELETE /images/{image}/icon', unauthorized, {
    anonymous: true,
    leaves: { icon: true },
  }),
])
