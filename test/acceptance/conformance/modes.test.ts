import { manifest, publish } from '../../support/api.ts'
import {
  type Case,
  CONTENT,
  conformance,
  failure,
  invalidField,
  NOBODY,
  UNKNOWN,
  unauthorized,
} from './runner.ts'

/** Section 1: what the modes allow and show, and `authType: none` in each of them. */

const v1 = {
  uuid: '{bob}',
  creator_uuid: '{alice}',
  creator_name: 'sdc',
  vendor_uuid: '{alice}',
  cloud_name: 'sdc',
  owner_uuid: '{alice}',
  platform_type: 'smartos',
  urn: 'sdc:sdc:old:1.0.0',
  created_at: '2011-11-14T12:00Z',
  name: 'old',
  version: '1.0.0',
  type: 'zone-dataset',
  os: 'smartos',
  files: [{ path: 'old.zfs.bz2', sha1: '0'.repeat(40), size: 1, url: 'http://example.com/old.zfs.bz2' }],
}
const V1_FIELDS = ['creator_uuid', 'creator_name', 'vendor_uuid', 'cloud_name', 'owner_uuid', 'created_at']

const create = (name: string, fields: object, expect: Case['expect']): Case => ({
  name,
  request: 'POST /images',
  body: manifest(fields as Record<string, unknown>),
  expect,
})
const bring = (name: string, fields: object, expect: Case['expect'], query = ''): Case => {
  const id = crypto.randomUUID()
  return {
    name,
    request: `POST /images/${id}?action=import${query}`,
    body: { v: 2, ...manifest({ ...fields, uuid: id }) },
    expect,
  }
}
const bringOld = (name: string, fields: object, expect: Case['expect']): Case => {
  const uuid = crypto.randomUUID()
  return { name, request: `POST /images/${uuid}?action=import`, body: { ...v1, uuid, ...fields }, expect }
}

const OPERATORS = { billing_tags: ['gold'], traits: { ssd: true } }
const hides = { status: 200, without: ['billing_tags', 'traits'] }
const shows = { body: OPERATORS }
/** Operators' fields on GetImage, in lists and in the answer to a create. */
const fields = (isPublic: boolean, toUsers: Case['expect'], toAnybody: Case['expect']): Case[] => {
  const given = ['active', { ...OPERATORS, public: isPublic }] as Case['given'] & {}
  return [
    {
      name: 'operators’ fields of an image, for users',
      given,
      request: 'GET /images/{image}',
      expect: toUsers,
    },
    {
      name: 'operators’ fields of an image, for anybody',
      given,
      request: 'GET /images/{image}',
      anonymous: true,
      expect: toAnybody,
    },
    create('operators’ fields in the answer to a create', { ...OPERATORS, public: isPublic }, toUsers),
  ]
}

const lists = (name: string, text: RegExp, more: Partial<Case> = {}): Case => ({
  name,
  request: 'GET /images',
  expect: { text },
  ...more,
})

const STANDALONE: Case[] = [
  create('`public` may be left out', {}, { body: { public: false } }),
  create('`public` may be true', { public: true }, { body: { public: true } }),
  create('`owner` may be left out', {}, { body: { owner: NOBODY } }),
  bring('an import keeps its owner', { owner: '{alice}' }, { body: { owner: '{alice}' } }),
  bring('an import without owner is nobody’s', {}, { body: { owner: NOBODY } }),
  ...fields(false, shows, hides),
  lists('operators’ fields are in lists for users', /"billing_tags"/),
  lists('operators’ fields are in no list for anybody', /^(?!.*billing_tags).*"first"/s, { anonymous: true }),
  bringOld(
    'a manifest of version 1 is upgraded',
    {},
    {
      body: {
        v: 2,
        owner: '{alice}',
        public: true,
        disabled: false,
        published_at: '2011-11-14T12:00:00Z',
        urn: 'sdc:sdc:old:1.0.0',
        files: [],
      },
      without: V1_FIELDS,
    },
  ),
  bringOld(
    'a restricted one of version 1 is private, for whom it was restricted to',
    { restricted_to_uuid: '{bob}', published_at: '2012-01-01T00:00:00Z', disabled: 'true' },
    { body: { public: false, acl: ['{bob}'], published_at: '2012-01-01T00:00:00Z', disabled: true } },
  ),
  {
    name: 'a manifest of version 1 must have the UUID of the request',
    request: 'POST /images/{unknown}?action=import',
    body: v1,
    expect: {
      ...failure(422, 'InvalidParameter', 'URL UUID, "{unknown}" and body UUID, "{bob}" do not match'),
      errors: [{ field: 'uuid', code: 'Invalid' }],
    },
  },
  {
    name: 'CloneImage is not there',
    given: 'active',
    request: 'POST /images/{image}/clone?account={alice}',
    expect: failure(404, 'ResourceNotFound', '/images/{image}/clone does not exist'),
  },
]

const PRIVATE_REFUSED = 'private images are not allowed on a public Images API'
const PUBLIC: Case[] = [
  create('`public` left out is refused', {}, invalidField('public', PRIVATE_REFUSED)),
  create('`public: false` is refused', { public: false }, invalidField('public', PRIVATE_REFUSED)),
  create('`public: true` is taken', { public: true }, { body: { public: true } }),
  create(
    'a given owner is kept on create',
    { public: true, owner: '{alice}' },
    { body: { owner: '{alice}' } },
  ),
  bring('an import belongs to nobody', { public: true, owner: '{alice}' }, { body: { owner: NOBODY } }),
  bring('a private import is refused', { public: false }, invalidField('public', PRIVATE_REFUSED)),
  bringOld('a manifest of version 1 is upgraded before its owner goes', {}, { body: { owner: NOBODY } }),
  {
    name: 'an image cannot be made private',
    given: ['active', { public: true }],
    request: 'POST /images/{image}?action=update',
    body: { public: false },
    expect: invalidField('public', PRIVATE_REFUSED),
    leaves: { public: true },
  },
  ...fields(true, hides, hides),
  lists('operators’ fields are in no list', /^(?!.*billing_tags).*"first"/s),
  {
    name: 'a billing tag finds an image although it is not shown',
    given: ['active', { public: true, billing_tags: ['platinum'], name: 'billed' }],
    request: 'GET /images?billing_tag=platinum',
    expect: { names: ['billed'] },
  },
]

const PUBLIC_REFUSED = 'public images are not allowed on a private Images API'
const PRIVATE: Case[] = [
  create('`public` may be left out', {}, { body: { public: false } }),
  create('`public: true` is refused', { public: true }, invalidField('public', PUBLIC_REFUSED)),
  bring('an import belongs to nobody', { owner: '{alice}' }, { body: { owner: NOBODY } }),
  bring('a public import is refused', { public: true }, invalidField('public', PUBLIC_REFUSED)),
  {
    name: 'an image cannot be made public',
    given: 'active',
    request: 'POST /images/{image}?action=update',
    body: { public: true },
    expect: invalidField('public', PUBLIC_REFUSED),
    leaves: { public: false },
  },
  ...fields(false, shows, shows),
  lists('operators’ fields are in lists for anybody', /"billing_tags"/, { anonymous: true }),
]

const DC: Case[] = [
  create('`public` may be true', { public: true }, { body: { public: true } }),
  create('`public` may be left out', {}, { body: { public: false } }),
  create('owners need no account database', { owner: '{bob}' }, { body: { owner: '{bob}' } }),
  bring('an import keeps its owner', { owner: '{alice}' }, { body: { owner: '{alice}' } }),
  bring('an import of nobody becomes the administrator’s', { owner: NOBODY }, { body: { owner: UNKNOWN } }),
  bring('an import without owner too', {}, { body: { owner: UNKNOWN } }, '&skip_owner_check=true'),
  bring(
    'skip_owner_check is a boolean',
    {},
    {
      ...failure(422, 'InvalidParameter', 'invalid value for "skip_owner_check" param: "x" is not a boolean'),
      errors: [{ field: 'skip_owner_check', code: 'Invalid' }],
    },
    '&skip_owner_check=x',
  ),
  ...fields(false, shows, shows),
  {
    name: 'inclAdminFields is for anybody',
    given: 'active',
    request: 'GET /images/{image}?inclAdminFields=true',
    anonymous: true,
    expect: { body: { files: [{ stor: 'local' }] } },
  },
  {
    name: 'lists have unactivated images for anybody',
    given: ['unactivated', { name: 'fresh' }],
    request: 'GET /images?state=unactivated&name=fresh',
    anonymous: true,
    expect: { names: ['fresh'] },
  },
]

const MODES = {
  standalone: { cases: STANDALONE, isPublic: false },
  public: { cases: PUBLIC, isPublic: true },
  private: { cases: PRIVATE, isPublic: false },
  dc: { cases: DC, isPublic: false },
}
for (const [mode, { cases, isPublic }] of Object.entries(MODES)) {
  const config = { mode, adminUuid: UNKNOWN }
  conformance(`1 mode ${mode}`, cases, {
    config,
    setup: async server => {
      await publish(server, CONTENT, { name: 'first', public: isPublic, ...OPERATORS })
      return {}
    },
  })

  const given: Case['given'] & {} = ['with file', { public: isPublic }]
  const anonymous = true
  conformance(
    `1 mode ${mode}: strangers`,
    [
      ...[
        'POST /images',
        'POST /images/{image}?action=activate',
        'POST /images/{image}?action=import-remote',
        'PUT /images/{image}/file?compression=none',
        'POST /images/{image}/file/from-url',
        'PUT /images/{image}/icon',
        'POST /images/{image}/acl',
        'POST /images/{image}/push',
      ].map(
        (request): Case => ({
          name: `${request} is refused`,
          given,
          request,
          body: '{}',
          anonymous,
          expect: unauthorized,
          leaves: { state: 'unactivated' },
        }),
      ),
      ...[
        'DELETE /images/{image}',
        'DELETE /images/{image}/icon',
        'GET /state',
        'GET /jobs',
        'DELETE /jobs/{unknown}',
      ].map(
        (request): Case => ({
          name: `${request} is refused`,
          given,
          request,
          anonymous,
          expect: unauthorized,
        }),
      ),
      {
        name: 'POST /authkeys/reload is refused',
        request: 'POST /authkeys/reload',
        anonymous,
        expect: unauthorized,
      },
    ],
    { config },
  )

  const isKnown = mode === 'standalone' || mode === 'dc'
  conformance(
    `1 mode ${mode} with authType none`,
    [
      {
        name: 'anybody activates',
        given,
        request: 'POST /images/{image}?action=activate',
        anonymous,
        expect: { body: { state: 'active' } },
      },
      {
        name: 'anybody deletes',
        given,
        request: 'DELETE /images/{image}',
        anonymous,
        expect: { status: 204 },
      },
      {
        name: 'credentials are not looked at',
        given,
        request: 'GET /images/{image}',
        headers: { authorization: 'Bearer nonsense' },
        expect: { body: { uuid: '{image}' } },
      },
      {
        name: 'ping knows no user',
        request: 'GET /ping',
        expect: { keys: ['ping', 'version', 'imgapi', 'pid'] },
      },
      {
        name: 'the state is for anybody',
        request: 'GET /state',
        anonymous,
        expect: { body: { storageTypes: ['local'] } },
      },
      {
        name: 'keys are reloaded by anybody',
        request: 'POST /authkeys/reload',
        anonymous,
        expect: { body: {} },
      },
      {
        name: `lists are ${isKnown ? 'open' : 'of active images alone'}`,
        given: ['unactivated', { public: isPublic, name: 'hidden' }],
        request: 'GET /images?state=all&name=hidden',
        anonymous,
        expect: { names: isKnown ? ['hidden'] : [] },
      },
      {
        name: `inclAdminFields is ${isKnown ? 'for anybody' : 'for nobody, since nobody is known'}`,
        given,
        request: 'GET /images/{image}?inclAdminFields=true',
        anonymous,
        expect: isKnown
          ? { body: { files: [{ stor: 'local' }] } }
          : { status: 401, code: 'UnauthorizedError' },
      },
    ],
    { config: { ...config, authType: 'none', userdb: [] } },
  )
}

conformance(
  '1 mode dc without an administrator',
  [bring('an import of nobody stays nobody’s', { owner: NOBODY }, { body: { owner: NOBODY } })],
  { config: { mode: 'dc' } },
)
