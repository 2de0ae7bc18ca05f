import { addFile, call, create, manifest, publish } from '../../support/api.ts'
import type { TestServer } from '../../support/server.ts'
import { ALICE, BOB, type Case, CONTENT, conformance, failure, invalidParameter, notFound } from './runner.ts'

/** Section 8.6: ListImages. */

/** In the order of publication, which is the order of lists; `state` is active unless said. */
const COLLECTION: Record<string, Record<string, unknown> & { state?: string }> = {
  base: { published_at: '2015-01-01T00:00:00Z', version: '1.0.0', public: true },
  'base-64': { published_at: '2015-06-01T00:00:00.000Z', version: '1.0.1', type: 'lx-dataset', os: 'linux' },
  tagged: {
    published_at: '2016-01-01T00:00:00Z',
    tags: {
      role: 'db',
      n: 5,
      on: true,
      empty: '',
      'a.b:c': 'x',
      obj: { a: 1 },
      long: 'x'.repeat(101),
      nil: null,
    },
  },
  billed: {
    published_at: '2016-01-01T00:00:00.001Z',
    billing_tags: ['gold', 'eu'],
    tags: { role: 'db', n: 6 },
  },
  'of-alice': { published_at: '2017-01-01T00:00:00Z', owner: ALICE },
  'of-alice-public': { published_at: '2017-02-01T00:00:00Z', owner: ALICE, public: true },
  'of-alice-for-bob': { published_at: '2017-03-01T00:00:00Z', owner: ALICE, acl: [BOB] },
  'of-alice-hidden': { published_at: '2017-04-01T00:00:00Z', owner: ALICE, public: true, state: 'disabled' },
  'of-bob-hidden': { published_at: '2017-05-01T00:00:00Z', owner: BOB, state: 'disabled' },
  'of-alice-new': { owner: ALICE, public: true, state: 'unactivated' },
  broken: { state: 'failed' },
}
const ACTIVE = Object.keys(COLLECTION).filter(name => COLLECTION[name]?.state === undefined)
const HIDDEN = ['of-alice-hidden', 'of-bob-hidden']

async function setup(server: TestServer) {
  const names: Record<string, string> = {}
  for (const [name, { state = 'active', ...fields }] of Object.entries(COLLECTION)) {
    const id = crypto.randomUUID()
    names[name.replaceAll('-', '_')] = id
    const body = manifest({ v: 2, uuid: id, name, ...fields })
    await call(server, 'POST', `/images/${id}?action=import`, { body })
    if (state === 'failed') await call(server, 'POST', `/images/${id}?action=update`, { body: { state } })
    if (state !== 'active' && state !== 'disabled') continue
    await addFile(server, id, CONTENT)
    await call(server, 'POST', `/images/${id}?action=activate`)
    if (state === 'disabled') await call(server, 'POST', `/images/${id}?action=disable`)
  }
  return names
}

const finds = (query: string, names: string[], more: Partial<Case> = {}): Case => ({
  name: `${query || 'no query'} finds ${names.join(', ') || 'nothing'}${more.anonymous ? ', to anybody' : ''}`,
  request: `GET /images${query}`,
  expect: { names },
  ...more,
})
const refuses = (query: string, field: string, message: string): Case => ({
  name: `${query} is refused`,
  request: `GET /images${query}`,
  expect: invalidParameter(field, message),
})

const FILTERS: Case[] = [
  finds('', ACTIVE),
  finds('?state=', ACTIVE),
  finds('?state=active', ACTIVE),
  finds('?state=disabled', HIDDEN),
  finds('?state=failed', ['broken']),
  finds('?state=creating', []),
  ...['state', 'State', 'all,active', 'constructor'].map(state =>
    refuses(`?state=${state}`, 'state', `invalid state: "${state}"`),
  ),
  finds('?public=true', ['base', 'of-alice-public']),
  finds('?public=false&state=disabled', ['of-bob-hidden']),
  refuses('?public=x', 'public', 'invalid value for "public" param: "x" is not a boolean'),
  finds('?name=base', ['base']),
  finds('?name=BASE', []),
  finds('?name=~base', ['base', 'base-64']),
  finds('?name=~-alice-', ['of-alice-public', 'of-alice-for-bob']),
  finds('?name=~', ACTIVE),
  finds('?name=', ACTIVE),
  finds('?version=1.0.1', ['base-64']),
  finds('?version=~0.1', ['base-64']),
  finds('?name=~base&version=1.0.0', ['base']),
  finds('?os=linux', ['base-64']),
  finds('?os=!linux', []),
  finds('?os=~lin', []),
  finds('?type=lx-dataset', ['base-64']),
  finds('?type=!zone-dataset', ['base-64']),
  finds('?type=!', ACTIVE),
  finds('?type=~lx', []),
  finds('?owner={alice}', ['of-alice', 'of-alice-public', 'of-alice-for-bob']),
  finds('?owner=nobody', []),
  finds('?tag.role=db', ['tagged', 'billed']),
  finds('?tag.role=db&tag.n=5', ['tagged']),
  finds('?tag.n=5&tag.n=6', []),
  finds('?tag.on=true', ['tagged']),
  finds('?tag.a.b:c=x', ['tagged']),
  finds('?tag.a.b%3Ac=x', ['tagged']),
  finds('?tag.empty=', ['tagged']),
  finds('?tag.obj=', ['tagged']),
  finds('?tag.long=', ['tagged']),
  finds('?tag.nil=', ['tagged']),
  finds('?tag.constructor=', []),
  finds('?tag.__proto__=', []),
  finds(`?tag.long=${'x'.repeat(101)}`, []),
  finds('?billing_tag=gold', ['billed']),
  finds('?billing_tag=gold&billing_tag=eu', ['billed']),
  finds('?billing_tag=gold&billing_tag=us', []),
  finds('?billing_tag=gol', []),
  finds('?uuid=x&origin=x&acl=x&disabled=true&v=1&tags=x', ACTIVE),
]

const PAGES: Case[] = [
  finds('?limit=2', ['base', 'base-64']),
  finds('?limit=0', ACTIVE),
  finds('?limit=1000', ACTIVE),
  // The reference names the field `state` here, by mistake (section 12).
  ...['abc', '-1', '1.5', 'NaN', 'Infinity'].map(limit =>
    refuses(`?limit=${limit}`, 'limit', `invalid limit: "${limit}"`),
  ),
  finds('?sort=published_at', ACTIVE),
  ...['asc', 'ASC'].map(word => finds(`?sort=published_at.${word}`, ACTIVE)),
  ...['desc', 'DESC', 'down'].map(word => finds(`?sort=published_at.${word}`, ACTIVE.toReversed())),
  refuses('?sort=name', 'sort', "invalid 'sort': not a valid sorting attribute: 'name'"),
  refuses('?sort=name.asc', 'sort', "invalid 'sort': not a valid sorting attribute: 'name'"),
  finds('?sort=published_at.desc&limit=2', ['of-alice-for-bob', 'of-alice-public']),
  finds('?marker={tagged}', ACTIVE.slice(2)),
  finds('?marker={tagged}&limit=2', ['tagged', 'billed']),
  finds('?marker={tagged}&sort=published_at.desc', ['tagged', 'base-64', 'base']),
  finds('?marker={of_alice_hidden}&state=disabled', HIDDEN),
  finds('?marker=2016-01-01T00:00:00Z', ACTIVE.slice(2)),
  finds('?marker=2016-01-01T00:00:00.000Z', ACTIVE.slice(2)),
  finds('?marker=2016-01-01T00:00:00.001Z', ACTIVE.slice(3)),
  finds('?marker=2016', ACTIVE.slice(2)),
  finds('?marker=2016-01-01T00:00:00Z&sort=published_at.desc', ['tagged', 'base-64', 'base']),
  finds('?marker=2030-01-01', []),
  finds('?marker={of_alice_hidden}', []),
  finds('?marker={broken}&state=active', ACTIVE),
  refuses('?marker=nope', 'marker', 'invalid value for "marker" param: "nope" is not a UUID or date string'),
  {
    name: 'an unknown marker is 404',
    request: 'GET /images?marker={unknown}',
    expect: notFound('image {unknown} not found'),
  },
  {
    name: 'the limit is checked before the state',
    request: 'GET /images?limit=x&state=x',
    expect: invalidParameter('limit', 'invalid limit: "x"'),
  },
  {
    name: 'the state is checked before `public`, and that before the sort and the marker',
    request: 'GET /images?state=all&public=x&sort=x&marker=x',
    expect: invalidParameter('public', /not a boolean/),
  },
  {
    name: 'the unpublished come first, by UUID',
    request: 'GET /images?state=all&limit=3',
    expect: { text: /"state": "(unactivated|failed)".*"state": "(unactivated|failed)".*"name": "base"/s },
  },
]

const ACCOUNTS: Case[] = [
  finds('?account={alice}', ['base', 'of-alice', 'of-alice-public', 'of-alice-for-bob']),
  finds('?account={bob}', ['base', 'of-alice-public', 'of-alice-for-bob']),
  finds('?account={unknown}', ['base', 'of-alice-public']),
  finds('?account=bogus', ['base', 'of-alice-public']),
  finds('?account={alice}&state=disabled', ['of-alice-hidden']),
  finds('?account={bob}&state=disabled', ['of-bob-hidden']),
  finds('?account={alice}&state=unactivated', ['of-alice-new']),
  finds('?account={bob}&state=unactivated', []),
  finds('?account={bob}&state=all', ['base', 'of-alice-public', 'of-alice-for-bob', ...HIDDEN]),
  finds('?account={bob}&owner={alice}', ['of-alice-public', 'of-alice-for-bob']),
  finds('?account={bob}&owner={alice}&state=disabled', []),
  finds('?account={bob}&owner={alice}&state=all', ['of-alice-public', 'of-alice-for-bob', 'of-alice-hidden']),
  finds('?account={alice}&owner={alice}', ['of-alice', 'of-alice-public', 'of-alice-for-bob']),
  finds('?account={bob}&public=true', ['base', 'of-alice-public']),
  finds('?account={bob}&public=false', ['of-alice-for-bob']),
  finds('?account={bob}&limit=2', ['base', 'of-alice-public']),
]

const anonymous = { anonymous: true }
const ANONYMOUS: Case[] = [
  finds('', ACTIVE, anonymous),
  finds('?state=all', ACTIVE, anonymous),
  ...['disabled', 'unactivated', 'creating', 'failed'].map(state => finds(`?state=${state}`, [], anonymous)),
  finds('?account={alice}&state=all', ['base', 'of-alice', 'of-alice-public', 'of-alice-for-bob'], anonymous),
  {
    name: 'inclAdminFields is not for anybody',
    request: 'GET /images?inclAdminFields=true',
    anonymous: true,
    expect: failure(
      401,
      'UnauthorizedError',
      'Unauthorized (auth required to use "inclAdminFields" parameter)',
    ),
  },
  {
    name: 'inclAdminFields shows where files are',
    request: 'GET /images?inclAdminFields=true&limit=1',
    expect: { text: /"stor": "local"/ },
  },
  {
    name: 'inclAdminFields must be a boolean',
    request: 'GET /images?inclAdminFields=x',
    expect: invalidParameter('inclAdminFields', /not a boolean/),
  },
]

conformance('8.6 filters', FILTERS, { setup })
conformance('8.6 order and pages', PAGES, { setup })
conformance('8.6 accounts', ACCOUNTS, { setup })
conformance('8.6 anonymous callers', ANONYMOUS, { setup })

const MODES: [string, Record<string, unknown>, Case[]][] = [
  ['mode dc, where lists have no restriction', { mode: 'dc' }, [finds('?state=disabled', HIDDEN, anonymous)]],
  ['authType none, standalone', { authType: 'none' }, [finds('?state=disabled', HIDDEN, anonymous)]],
  [
    'authType none in mode private, where nobody is authenticated',
    { authType: 'none', mode: 'private' },
    [finds('?state=disabled', [], anonymous), finds('?state=all', ['private'], anonymous)],
  ],
]
for (const [title, config, cases] of MODES) {
  const isPrivate = config.mode === 'private'
  const setupPrivate = async (server: TestServer) => {
    await publish(server, CONTENT, { name: 'private' })
    await create(server)
    return {}
  }
  conformance(`8.6 ${title}`, cases, { config, setup: isPrivate ? setupPrivate : setup })
}

conformance(
  'design: `anonymous: "public"`',
  [
    finds('', ['base', 'of-alice-public'], anonymous),
    finds('?public=false', [], anonymous),
    finds('?account={bob}', ['base', 'of-alice-public'], anonymous),
    finds('', ACTIVE),
  ],
  { config: { anonymous: 'public' }, setup },
)
