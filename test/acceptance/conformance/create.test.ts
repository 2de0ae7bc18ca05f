import { manifest } from '../../support/api.ts'
import { type Case, conformance, invalidParameter, unauthorized } from './runner.ts'

/** Section 8.11: CreateImage. */

const BAD_ACCOUNT = invalidParameter('account', 'invalid "account": not a UUID: "x"')

const post = (
  name: string,
  query: string,
  fields: Record<string, unknown>,
  expect: Case['expect'],
  more = {},
): Case => ({
  name,
  request: `POST /images${query}`,
  body: manifest(fields),
  expect,
  ...more,
})

conformance('8.11 CreateImage', [
  post(
    'the answer is 200, with an ETag and no Location',
    '',
    {},
    {
      status: 200,
      headers: { etag: /^"[0-9a-f]{40}"$/, location: undefined },
    },
  ),
  post('the uuid is fresh, of version 4', '', {}, { text: /"uuid": "[0-9a-f]{8}-[0-9a-f]{4}-4/ }),
  post('design: without an owner it belongs to nobody', '', {}, { body: { owner: '{nobody}' } }),
  post('an account owns what is made for it', '?account={alice}', {}, { body: { owner: '{alice}' } }),
  post(
    'an account may be named as the owner',
    '?account={alice}',
    { owner: '{alice}' },
    { body: { owner: '{alice}' } },
  ),
  post(
    'another owner than the account is refused',
    '?account={alice}',
    { owner: '{bob}' },
    invalidParameter('owner', 'invalid owner: given owner, "{bob}", does not match account, "{alice}"'),
  ),
  post('an account must be a UUID', '?account=x', {}, BAD_ACCOUNT),
  post(
    'it may be disabled from the start',
    '',
    { disabled: true },
    { body: { disabled: true, state: 'unactivated' } },
  ),
  post('credentials are needed', '', {}, unauthorized, { anonymous: true }),
  post('credentials are asked for before the body is read', '', {}, unauthorized, {
    anonymous: true,
    body: '{',
  }),
  post(
    'the account is checked before the owner, that before the state',
    '?account=x',
    { owner: 5, state: 'x' },
    BAD_ACCOUNT,
  ),
  post(
    'the state is checked before the origin',
    '',
    { state: 'x', origin: '{unknown}' },
    { status: 422, code: 'ValidationFailed', errors: [{ field: 'state', code: 'NotAllowed', message: /./ }] },
  ),
  post(
    'the origin is checked before extra fields',
    '',
    { origin: '{unknown}', bogus: 1 },
    { status: 422, code: 'OriginDoesNotExist' },
  ),
  post(
    '12: an unknown action is refused',
    '?action=bogus',
    {},
    invalidParameter('action', '"bogus" is not a valid action'),
  ),
  post(
    '12: an owner that is no UUID is refused',
    '',
    { owner: 'x' },
    { status: 422, code: 'ValidationFailed', errors: [{ field: 'owner', code: 'Invalid' }] },
  ),
  {
    name: 'name and version may be those of another image',
    given: 'active',
    request: 'POST /images',
    body: manifest(),
    expect: { body: { name: 'test-image', version: '1.0.0' } },
  },
])
