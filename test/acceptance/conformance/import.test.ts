import { manifest } from '../../support/api.ts'
import {
  type Case,
  CONTENT,
  conformance,
  failure,
  invalidParameter,
  unauthorized,
  validationFailed,
} from './runner.ts'

/** Section 10.1: AdminImportImage, with the manifest in the body. */

const take = (
  name: string,
  fields: Record<string, unknown>,
  expect: Case['expect'],
  more: Partial<Case> = {},
): Case => ({
  name,
  given: 'unactivated',
  request: 'POST /images/{fresh}?action=import',
  body: manifest({ v: 2, uuid: '{fresh}', ...fields }),
  expect,
  ...more,
})
const taken = { body: { uuid: '{fresh}', state: 'unactivated', files: [] } }
const shows = (fields: Record<string, unknown>) => ({ body: { uuid: '{fresh}', ...fields } })

conformance('10.1 AdminImportImage', [
  take(
    'an image keeps its uuid and waits for its file',
    {},
    { ...taken, headers: { etag: /^"[0-9a-f]{40}"$/ } },
  ),
  take(
    'published_at is kept verbatim',
    { published_at: '2016-01-01T00:00:00Z' },
    shows({ published_at: '2016-01-01T00:00:00Z' }),
  ),
  {
    ...take(
      'published_at survives activation',
      {},
      { body: { state: 'active', published_at: '2016-01-01T00:00:00Z' } },
    ),
    after: [
      {
        request: 'POST /images/{fresh}?action=import',
        body: manifest({ v: 2, uuid: '{fresh}', published_at: '2016-01-01T00:00:00Z' }),
      },
      { request: 'PUT /images/{fresh}/file', body: CONTENT },
    ],
    request: 'POST /images/{fresh}?action=activate',
    body: undefined,
  },
  take('urn is kept', { urn: 'a:b:c:d' }, shows({ urn: 'a:b:c:d' })),
  take('disabled is kept', { disabled: true }, shows({ disabled: true, state: 'unactivated' })),
  take('design: the owner is kept as given', { owner: '{alice}' }, shows({ owner: '{alice}' })),
  take('design: without an owner it belongs to nobody', {}, shows({ owner: '{nobody}' })),
  take('design: fields of a newer server are kept', { novel: { a: 1 } }, shows({ novel: { a: 1 } })),
  take(
    'what another server keeps about an image is ignored',
    {
      state: 'active',
      files: [{ sha1: 'x' }],
      channels: ['dev'],
      icon: true,
      activated: true,
      expires_at: 5,
      error: {},
    },
    { ...taken, without: ['channels', 'icon', 'activated', 'expires_at', 'error'] },
  ),
  take(
    'design: null is absent',
    { origin: null, published_at: null, error: null },
    { ...taken, without: ['origin', 'error'] },
  ),
  take('design: numbers may be text', { v: '2' }, shows({ v: 2 })),
  take('v is needed', { v: undefined }, validationFailed([['v', 'MissingParameter']])),
  take(
    'published_at has a format',
    { published_at: '2016' },
    validationFailed([
      ['published_at', 'Invalid', 'published_at date not in "YYYY-MM-DDTHH:MM:SS(.SSS)Z" format'],
    ]),
  ),
  take(
    'published_at is text',
    { published_at: 5 },
    invalidParameter('published_at', 'invalid "published_at"'),
  ),
  take(
    'the body’s uuid must be the URL’s',
    { uuid: '{unknown}' },
    invalidParameter('uuid', 'URL UUID, "{fresh}" and body UUID, "{unknown}" do not match'),
  ),
  take(
    'the body must have a uuid',
    { uuid: undefined },
    invalidParameter('uuid', 'URL UUID, "{fresh}" and body UUID, "undefined" do not match'),
  ),
  take('skip_owner_check', {}, taken, {
    request: 'POST /images/{fresh}?action=import&skip_owner_check=true',
  }),
  take('skip_owner_check must be a boolean', {}, invalidParameter('skip_owner_check', /not a boolean/), {
    request: 'POST /images/{fresh}?action=import&skip_owner_check=x',
  }),
  take(
    'it is for operators',
    {},
    failure(403, 'OperatorOnly', 'this endpoint may only be called by an operator'),
    {
      request: 'POST /images/{fresh}?action=import&account={alice}',
    },
  ),
  take(
    'it is for operators before anything else',
    { uuid: 5 },
    { status: 403, code: 'OperatorOnly' },
    {
      request: 'POST /images/{fresh}?action=import&account=x',
    },
  ),
  take(
    'an origin must exist',
    { origin: '{unknown}' },
    failure(422, 'OriginDoesNotExist', 'origin image "{unknown}" does not exist'),
  ),
  take('an origin in any state will do', { origin: '{image}' }, shows({ origin: '{image}' })),
  take(
    'drivers are for zvols',
    { nic_driver: 'x' },
    invalidParameter('nic_driver', 'invalid extra parameters: "nic_driver"'),
  ),
  take(
    'fields are validated',
    { name: 'ü', os: 'x' },
    {
      status: 422,
      code: 'ValidationFailed',
      errors: [
        { field: 'name', code: 'Invalid', message: /./ },
        { field: 'os', code: 'Invalid', message: /./ },
      ],
    },
  ),
  take(
    'that it exists is told before what is wrong with it',
    { uuid: '{image}', name: 'ü' },
    failure(409, 'ImageUuidAlreadyExists', /^image uuid "[-0-9a-f]{36}" already exists: it is unactivated/),
    {
      request: 'POST /images/{image}?action=import',
    },
  ),
  take(
    'a creating image is a placeholder, which an import replaces',
    { uuid: '{image}', name: 'final' },
    { body: { uuid: '{image}', name: 'final', state: 'unactivated' } },
    {
      given: 'creating',
      request: 'POST /images/{image}?action=import',
    },
  ),
  take('no body', {}, validationFailed([['body', 'MissingParameter']], 'missing request body'), {
    body: undefined,
  }),
  take('credentials are needed', {}, unauthorized, { anonymous: true }),
])

for (const mode of ['public', 'private']) {
  conformance(
    `10.1 in mode ${mode}`,
    [
      {
        ...take(
          'any owner becomes nobody',
          { owner: '{alice}', public: mode === 'public' },
          shows({ owner: '{nobody}' }),
        ),
        given: ['unactivated', { public: mode === 'public' }],
      },
    ],
    { config: { mode } },
  )
}
