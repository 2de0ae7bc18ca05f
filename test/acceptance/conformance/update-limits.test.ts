import { create } from '../../support/api.ts'
import { FULL, UPDATE, update } from './field-cases.ts'
import {
  type Case,
  conformance,
  failure,
  imageNotFound,
  invalidField,
  notAllowed,
  unauthorized,
  unknownImage,
  validationFailed,
} from './runner.ts'

/** Section 8.13: what UpdateImage refuses. */

const CANNOT = 'Parameter cannot be updated'
const OPERATORS = 'Can only be updated by operators'
const UNACTIVATED = 'Can only be updated on unactivated images'
const DIGESTS = 'Can only update "digest" or "uncompressedDigest" fields on files'
const MISSING_BODY = validationFailed([['body', 'MissingParameter']], 'missing request body')

const FIXED: [string, unknown][] = [
  ['disabled', true],
  ['activated', true],
  ['published_at', '2016-01-01T00:00:00Z'],
  ['icon', true],
  ['v', 2],
  ['urn', 'a:b:c:d'],
  ['type', 'other'],
  ['bogus', 1],
  ['_imgapi', {}],
  ['constructor', 1],
]

conformance('8.13 what cannot', [
  ...[undefined, [], ['x'], null, 'text', 5].map(body =>
    update(
      `a body of ${JSON.stringify(body)} is a missing one`,
      'active',
      JSON.stringify(body),
      MISSING_BODY,
    ),
  ),
  update(
    'an empty object has no parameters',
    'active',
    {},
    validationFailed([], 'invalid image update data: no parameters provided'),
  ),
  ...FIXED.map(([field, value]) =>
    update(`${field} is never updated`, 'unactivated', { [field]: value }, notAllowed([field, CANNOT])),
  ),
  update('type is not updated, not even by null', 'active', { type: null }, notAllowed(['type', CANNOT])),
  update(
    'everything that cannot be updated is named, in the order of the body',
    'active',
    { v: 2, name: 'ü', bogus: 1, type: 'x' },
    notAllowed(['v', CANNOT], ['bogus', CANNOT], ['type', CANNOT]),
    { leaves: { name: 'test-image' } },
  ),
  ...(['active', 'disabled'] as const).flatMap(state =>
    [
      ['uuid', '{fresh}'],
      ['origin', '{unknown}'],
      ['files', [{ digest: 'x' }]],
    ].map(([field, value]) =>
      update(
        `${field} of an image that is ${state}`,
        state,
        { [field as string]: value },
        notAllowed([field as string, UNACTIVATED]),
      ),
    ),
  ),
  ...['state', 'error', 'billing_tags', 'traits', 'files', 'origin', 'uuid'].map(
    (field): Case => ({
      ...update(
        `${field} is for operators`,
        ['unactivated', FULL],
        { [field]: 'x' },
        notAllowed([field, OPERATORS]),
      ),
      request: `${UPDATE}&account={alice}`,
    }),
  ),
  {
    ...update(
      'restricted fields follow the others, in an order of their own',
      ['active', FULL],
      { uuid: 1, origin: 2, files: 3, traits: 4, billing_tags: 5, error: 6, state: 7, v: 8 },
      notAllowed(
        ['v', CANNOT],
        ...['state', 'error', 'billing_tags', 'traits', 'files', 'origin', 'uuid'].map(
          (field): [string, string] => [field, OPERATORS],
        ),
      ),
    ),
    request: `${UPDATE}&account={alice}`,
  },
  update(
    'files of an image that has none',
    'unactivated',
    { files: [{ digest: 'x' }] },
    notAllowed(['files', DIGESTS]),
  ),
  update('no files at all', 'with file', { files: [] }, notAllowed(['files', DIGESTS])),
  update('a file’s sha1', 'with file', { files: [{ sha1: 'x' }] }, notAllowed(['files', DIGESTS])),
  update(
    'a file’s digests are taken',
    'with file',
    { files: [{ sha1: '{sha1}', digest: 'sha256:1', uncompressedDigest: 'sha256:2' }] },
    { body: { files: [{ sha1: '{sha1}' }] } },
  ),
  update('values are validated', 'active', { name: 'ü' }, invalidField('name', /^image name has invalid/), {
    leaves: { name: 'test-image' },
  }),
  update('a state that is none', 'active', { state: 'x' }, validationFailed([['state', 'Invalid']])),
  ...(
    [
      ['unactivated', 'active'],
      ['active', 'unactivated'],
      ['disabled', 'creating'],
      ['failed', 'active'],
    ] as const
  ).map(([from, to]) =>
    update(
      `12: state cannot go from ${from} to ${to}`,
      from,
      { state: to },
      invalidField('state', /cannot go from/),
      {
        leaves: { state: from },
      },
    ),
  ),
  ...(
    [
      ['unactivated', 'failed', false],
      ['failed', 'unactivated', false],
      ['active', 'failed', false],
      ['disabled', 'failed', true],
      ['active', 'disabled', true],
      ['disabled', 'active', false],
    ] as const
  ).map(([from, state, disabled]) =>
    update(
      `12: state goes from ${from} to ${state}, with its flag`,
      from,
      { state },
      { body: { state, disabled } },
    ),
  ),
])

conformance(
  '8.13 uuid, origin and who may',
  [
    update(
      'an image that is unactivated gets another uuid',
      'with file',
      { uuid: '{fresh}' },
      { body: { uuid: '{fresh}' } },
    ),
    {
      ...update('its file comes along', 'with file', undefined, { headers: { 'content-md5': '{md5}' } }),
      after: [{ request: UPDATE, body: { uuid: '{fresh}' } }],
      request: 'GET /images/{fresh}/file',
    },
    {
      ...update('the old uuid is gone', 'with file', undefined, imageNotFound),
      after: [{ request: UPDATE, body: { uuid: '{fresh}' } }],
      request: 'GET /images/{image}',
    },
    update(
      '12: the uuid of another image is refused',
      'unactivated',
      { uuid: '{taken}' },
      failure(409, 'ImageUuidAlreadyExists', /^image uuid "[-0-9a-f]{36}" already exists: it is unactivated/),
    ),
    update('a uuid must be one', 'unactivated', { uuid: 'x' }, validationFailed([['uuid', 'Invalid']])),
    update('an origin', 'unactivated', { origin: '{taken}' }, { body: { origin: '{taken}' } }),
    {
      ...update('null takes the origin away', 'unactivated', { origin: null }, { without: ['origin'] }),
      after: [{ request: UPDATE, body: { origin: '{taken}' } }],
    },
    update(
      '12: an origin must exist',
      'unactivated',
      { origin: '{unknown}' },
      failure(422, 'OriginDoesNotExist', 'origin image "{unknown}" does not exist'),
    ),
    update(
      '12: no image is its own origin',
      'unactivated',
      { origin: '{image}' },
      invalidField('origin', /ancestor/),
    ),
    {
      name: 'an unknown image',
      request: 'POST /images/{unknown}?action=update',
      body: { name: 'x' },
      expect: unknownImage,
    },
    update('anonymous callers update nothing', 'active', { name: 'x' }, unauthorized, { anonymous: true }),
    {
      ...update('an owner updates what is its own', ['active', FULL], { name: 'x' }, { body: { name: 'x' } }),
      request: `${UPDATE}&account={alice}`,
    },
    {
      ...update(
        'an account in the acl reads but does not update',
        ['active', FULL],
        { name: 'x' },
        failure(422, 'NotImageOwner', 'account {bob} is not the owner of image {image}'),
      ),
      request: `${UPDATE}&account={bob}`,
    },
  ],
  {
    setup: async server => ({ taken: (await create(server)).uuid }),
  },
)
