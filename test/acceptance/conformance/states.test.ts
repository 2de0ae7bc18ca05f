import { manifest } from '../../support/api.ts'
import {
  type Case,
  CONTENT,
  conformance,
  failure,
  type Given,
  imageNotFound,
  invalidParameter,
  unauthorized,
  unknownImage,
} from './runner.ts'

/** Sections 4.1 and 8.12: which operation an image allows in which state. */

const NO_FILE = failure(422, 'NoActivationNoFile', 'image "{image}" cannot be activated: it has no file')
const ACTIVATED = failure(422, 'ImageAlreadyActivated', 'image "{image}" is already activated')
const IMMUTABLE = failure(422, 'ImageFilesImmutable', 'cannot modify files on activated image {image}')
const exists = (what: string) =>
  failure(409, 'ImageUuidAlreadyExists', `image uuid "{image}" already exists: ${what}`)

/** Each row: operation, state, answer, and the state it leaves. */
type Row = [operation: keyof typeof OPERATIONS, state: Given, expect: Case['expect'], then: Given]

const OPERATIONS = {
  'add a file': { request: 'PUT /images/{image}/file?compression=none', body: CONTENT },
  activate: { request: 'POST /images/{image}?action=activate' },
  enable: { request: 'POST /images/{image}?action=enable' },
  disable: { request: 'POST /images/{image}?action=disable' },
  update: { request: 'POST /images/{image}?action=update', body: { name: 'changed' } },
  'add an icon': {
    request: 'PUT /images/{image}/icon',
    body: CONTENT,
    headers: { 'content-type': 'image/png' },
  },
  import: { request: 'POST /images/{image}?action=import', body: manifest({ v: 2, uuid: '{image}' }) },
  get: { request: 'GET /images/{image}' },
} as const

const ok = (body: Record<string, unknown> = {}) => ({ body: { uuid: '{image}', ...body } })

const TABLE: Row[] = [
  ['add a file', 'unactivated', ok(), 'unactivated'],
  ['add a file', 'with file', ok(), 'unactivated'],
  ['add a file', 'active', IMMUTABLE, 'active'],
  ['add a file', 'disabled', IMMUTABLE, 'disabled'],
  ['add a file', 'failed', ok(), 'failed'],
  ['add a file', 'creating', ok(), 'creating'],
  ['activate', 'unactivated', NO_FILE, 'unactivated'],
  ['activate', 'with file', ok({ state: 'active' }), 'active'],
  ['activate', 'active', ACTIVATED, 'active'],
  ['activate', 'disabled', ACTIVATED, 'disabled'],
  ['activate', 'failed', ok({ state: 'active' }), 'active'],
  ['activate', 'creating', ok({ state: 'active' }), 'active'],
  ['enable', 'unactivated', ok({ state: 'unactivated', disabled: false }), 'unactivated'],
  ['enable', 'active', ok({ state: 'active', disabled: false }), 'active'],
  ['enable', 'disabled', ok({ state: 'active', disabled: false }), 'active'],
  ['enable', 'failed', ok({ state: 'failed' }), 'failed'],
  ['enable', 'creating', ok({ state: 'creating' }), 'creating'],
  ['disable', 'unactivated', ok({ state: 'unactivated', disabled: true }), 'unactivated'],
  ['disable', 'active', ok({ state: 'disabled', disabled: true }), 'disabled'],
  ['disable', 'disabled', ok({ state: 'disabled', disabled: true }), 'disabled'],
  ['disable', 'failed', ok({ state: 'failed', disabled: true }), 'failed'],
  ['disable', 'creating', ok({ state: 'creating', disabled: true }), 'creating'],
  ['update', 'unactivated', ok({ name: 'changed' }), 'unactivated'],
  ['update', 'active', ok({ name: 'changed' }), 'active'],
  ['update', 'disabled', ok({ name: 'changed' }), 'disabled'],
  ['update', 'failed', ok({ name: 'changed' }), 'failed'],
  ['update', 'creating', ok({ name: 'changed' }), 'creating'],
  ['add an icon', 'unactivated', ok({ icon: true }), 'unactivated'],
  ['add an icon', 'active', ok({ icon: true }), 'active'],
  ['add an icon', 'disabled', ok({ icon: true }), 'disabled'],
  ['add an icon', 'failed', ok({ icon: true }), 'failed'],
  [
    'import',
    'unactivated',
    exists(
      'it is unactivated and has no file: add its file and activate it, or delete it and import it again',
    ),
    'unactivated',
  ],
  [
    'import',
    'with file',
    exists('it is unactivated and has its file: activate it, or delete it and import it again'),
    'unactivated',
  ],
  [
    'import',
    'active',
    exists('it is active: update its manifest, or publish other bytes under another UUID'),
    'active',
  ],
  [
    'import',
    'disabled',
    exists('it is disabled: enable it, or publish other bytes under another UUID'),
    'disabled',
  ],
  ['import', 'failed', exists('it is failed: delete it, and import it again'), 'failed'],
  ['get', 'unactivated', ok({ state: 'unactivated' }), 'unactivated'],
  ['get', 'active', ok({ state: 'active' }), 'active'],
  ['get', 'disabled', ok({ state: 'disabled' }), 'disabled'],
  ['get', 'failed', ok({ state: 'failed' }), 'failed'],
  ['get', 'creating', ok({ state: 'creating' }), 'creating'],
]

const DELETABLE: Given[] = ['unactivated', 'with file', 'active', 'disabled', 'failed', 'creating']

conformance('4.1 operation × state', [
  ...TABLE.map(
    ([operation, given, expected, then]): Case => ({
      name: `${operation}, ${given} → ${expected.code ?? then}`,
      given,
      ...OPERATIONS[operation],
      expect: expected,
      leaves: { state: then },
    }),
  ),
  ...DELETABLE.map(
    (given): Case => ({
      name: `delete, ${given} → gone`,
      given,
      request: 'DELETE /images/{image}',
      expect: { status: 204 },
    }),
  ),
])

const ISO = /"published_at": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/

conformance('8.12 actions', [
  {
    name: 'activation sets published_at, to the millisecond',
    given: 'with file',
    request: 'POST /images/{image}?action=activate',
    expect: { text: ISO, headers: { etag: /^"[0-9a-f]{40}"$/ } },
  },
  {
    name: 'an image has no published_at before its activation',
    given: 'with file',
    request: 'GET /images/{image}',
    expect: { without: ['published_at'] },
  },
  {
    name: 'a disabled image is disabled when it is activated',
    given: ['with file', { disabled: true }],
    request: 'POST /images/{image}?action=activate',
    expect: { body: { state: 'disabled', disabled: true }, text: ISO },
  },
  {
    name: 'the body of activate is ignored',
    given: 'with file',
    request: 'POST /images/{image}?action=activate',
    body: { name: 'changed' },
    expect: { body: { state: 'active', name: 'test-image' } },
  },
  {
    name: 'an origin need not be active',
    given: 'with file',
    after: [
      { request: 'POST /images/{fresh}?action=import', body: manifest({ v: 2, uuid: '{fresh}' }) },
      { request: 'POST /images/{image}?action=update', body: { origin: '{fresh}' } },
    ],
    request: 'POST /images/{image}?action=activate',
    expect: { body: { state: 'active', origin: '{fresh}' } },
  },
  {
    name: 'activation takes the error of a failed image away',
    given: 'failed',
    after: [{ request: 'POST /images/{image}?action=update', body: { error: { message: 'no' } } }],
    request: 'POST /images/{image}?action=activate',
    expect: { body: { state: 'active' }, without: ['error'] },
  },
  {
    name: 'a repeated disable changes not even the ETag',
    given: 'disabled',
    request: 'POST /images/{image}?action=disable',
    expect: { headers: { etag: '"{etag}"' } },
  },
  {
    name: 'an unknown action is refused',
    given: 'active',
    request: 'POST /images/{image}?action=bogus',
    expect: invalidParameter('action', '"bogus" is not a valid action'),
  },
  ...['constructor', '__proto__', 'toString'].map(
    (action): Case => ({
      name: `${action} is no action`,
      given: 'active',
      request: `POST /images/{image}?action=${action}`,
      expect: invalidParameter('action', `"${action}" is not a valid action`),
    }),
  ),
  {
    name: 'channel-add is no action of a server without channels',
    given: 'active',
    request: 'POST /images/{image}?action=channel-add',
    body: { channel: 'dev' },
    expect: invalidParameter('action', '"channel-add" is not a valid action'),
  },
  ...['', '?action='].map(
    (query): Case => ({
      name: `no action is named by "${query}"`,
      given: 'active',
      request: `POST /images/{image}${query}`,
      expect: invalidParameter('action', 'no image "action" was specified', 'MissingParameter'),
    }),
  ),
  {
    name: 'a bad action on an unknown image is 404',
    request: 'POST /images/{unknown}?action=bogus',
    expect: unknownImage,
  },
  {
    name: 'activate of an unknown image is 404',
    request: 'POST /images/{unknown}?action=activate',
    expect: unknownImage,
  },
  {
    name: 'credentials are asked for before the UUID is looked at',
    request: 'POST /images/nope?action=activate',
    anonymous: true,
    expect: unauthorized,
  },
  {
    name: 'anonymous callers activate nothing',
    given: 'with file',
    request: 'POST /images/{image}?action=activate',
    anonymous: true,
    expect: unauthorized,
    leaves: { state: 'unactivated' },
  },
  {
    name: 'an account cannot activate what it does not see',
    given: ['with file', { owner: '{alice}' }],
    request: 'POST /images/{image}?action=activate&account={bob}',
    expect: failure(404, 'ResourceNotFound', 'image not found'),
  },
  {
    name: 'an account can disable what is its own',
    given: ['active', { owner: '{alice}' }],
    request: 'POST /images/{image}?action=disable&account={alice}',
    expect: { body: { state: 'disabled' } },
  },
  {
    name: 'an account cannot disable a public image of another',
    given: ['active', { owner: '{alice}', public: true }],
    request: 'POST /images/{image}?action=disable&account={bob}',
    expect: failure(422, 'NotImageOwner', 'account {bob} is not the owner of image {image}'),
  },
  {
    name: 'ownership is checked before conditions',
    given: ['active', { owner: '{alice}', public: true }],
    request: 'POST /images/{image}?action=disable&account={bob}',
    headers: { 'if-match': 'other' },
    expect: failure(422, 'NotImageOwner', /not the owner/),
  },
  {
    name: 'an account must be a UUID',
    given: 'active',
    request: 'POST /images/{image}?action=disable&account=x',
    expect: invalidParameter('account', 'invalid "account": not a UUID: "x"'),
  },
  {
    name: 'a deleted image is not there for any action',
    given: 'active',
    after: ['DELETE /images/{image}'],
    request: 'POST /images/{image}?action=enable',
    expect: imageNotFound,
  },
])
