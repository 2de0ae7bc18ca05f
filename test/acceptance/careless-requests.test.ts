import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { OPERATIONS } from '../../src/http/imgapi/index.ts'
import { bytes, call, create, manifest, publish, uuid } from '../support/api.ts'
import { startServer, type TestServer } from '../support/server.ts'

/**
 * Requests with a hole in them: a script's variable that was empty, a body that is something else. Whatever
 * changes images refuses them and changes nothing, rather than to do what a default says.
 */

/** Bodies that no operation takes for what it wants; the name of each says which. */
const BODIES = {
  nothing: undefined,
  null: 'null',
  'a number': '5',
  'a flag': 'true',
  'a text': '"text"',
  'an empty text': '""',
  'a list': '[]',
  'an object': '{}',
  'an unknown key': '{"nonesuch": 1}',
}
type Body = keyof typeof BODIES

interface Change {
  /** `METHOD /path?query`, with `{active}`, `{waiting}` and `{fresh}` for images. */
  request: string
  body?: unknown
  headers?: Record<string, string>
  /** Parameters that it reads: each is refused when it is empty. */
  parameters: string[]
  /** Bodies that are valid, or are not read. */
  takes: Body[] | 'every body'
}

const ON_IMAGE = ['channel', 'account']
const UPLOAD = ['compression', 'sha1', 'dataset_guid', 'storage']
const SOURCE = encodeURIComponent('http://127.0.0.1:9/')
const act = (action: string, more: Partial<Change> = {}, image = '{active}'): Change => ({
  request: `POST /images/${image}?action=${action}`,
  parameters: [...ON_IMAGE, 'action'],
  takes: 'every body',
  ...more,
})

const CHANGES: Record<string, Change> = {
  create: {
    request: 'POST /images',
    body: manifest(),
    parameters: [...ON_IMAGE, 'action'],
    takes: [],
  },
  'import a docker image': {
    request: 'POST /images?action=import-docker-image&repo=127.0.0.1:9/x&tag=latest',
    parameters: ['action', ...ON_IMAGE, 'public', 'repo', 'tag'],
    takes: 'every body',
  },
  import: act(
    'import',
    {
      body: { v: 2, uuid: '{fresh}', ...manifest() },
      parameters: ['channel', 'account', 'source', 'skip_owner_check'],
      takes: [],
    },
    '{fresh}',
  ),
  'import from a source': act(
    `import&source=${SOURCE}`,
    { parameters: [...ON_IMAGE, 'source', 'skip_owner_check'] },
    '{fresh}',
  ),
  'import-remote': act(
    `import-remote&source=${SOURCE}`,
    { parameters: [...ON_IMAGE, 'source', 'skip_owner_check'] },
    '{fresh}',
  ),
  'import-from-datacenter': act(
    'import-from-datacenter&datacenter=there&account={owner}',
    { parameters: ['channel', 'account', 'datacenter'] },
    '{fresh}',
  ),
  activate: act('activate', {}, '{waiting}'),
  enable: act('enable'),
  disable: act('disable'),
  update: act('update', { body: { description: 'x' }, takes: [] }),
  'channel-add': act('channel-add', { body: { channel: 'staging' }, takes: [] }),
  'change-stor': act('change-stor&stor=local', { parameters: [...ON_IMAGE, 'action', 'stor'] }),
  'change-stor by its body': act('change-stor', { body: { stor: 'local' }, parameters: ['stor'], takes: [] }),
  delete: {
    request: 'DELETE /images/{active}',
    parameters: [...ON_IMAGE, 'force_all_channels'],
    takes: 'every body',
  },
  'add a file': {
    request: 'PUT /images/{waiting}/file',
    body: 'content',
    parameters: [...ON_IMAGE, ...UPLOAD, 'index', 'source'],
    // A file may be anything but nothing.
    takes: (Object.keys(BODIES) as Body[]).filter(name => name !== 'nothing'),
  },
  'add a file from a source': {
    request: `PUT /images/{waiting}/file?source=${SOURCE}`,
    parameters: [...ON_IMAGE, 'source', 'storage'],
    takes: 'every body',
  },
  'add a file from a URL': {
    request: 'POST /images/{waiting}/file/from-url?compression=none',
    body: { file_url: 'http://127.0.0.1:9/' },
    parameters: [...ON_IMAGE, ...UPLOAD],
    takes: [],
  },
  'add an icon': {
    request: 'PUT /images/{active}/icon',
    body: 'content',
    headers: { 'content-type': 'image/png' },
    parameters: [...ON_IMAGE, 'sha1', 'storage'],
    takes: (Object.keys(BODIES) as Body[]).filter(name => name !== 'nothing'),
  },
  'delete an icon': { request: 'DELETE /images/{active}/icon', parameters: ON_IMAGE, takes: 'every body' },
  'add to the acl': {
    request: 'POST /images/{active}/acl',
    body: ['{other}'],
    parameters: [...ON_IMAGE, 'action'],
    takes: ['a list'],
  },
  'remove from the acl': {
    request: 'POST /images/{active}/acl?action=remove',
    body: ['{owner}'],
    parameters: [...ON_IMAGE, 'action'],
    takes: ['a list'],
  },
  clone: {
    request: 'POST /images/{active}/clone?account={owner}',
    parameters: ON_IMAGE,
    takes: 'every body',
  },
  push: { request: 'POST /images/{active}/push', parameters: [], takes: 'every body' },
  'drop caches': { request: 'POST /state?action=dropcaches', parameters: ['action'], takes: 'every body' },
  'reload keys': { request: 'POST /authkeys/reload', parameters: [], takes: 'every body' },
  'run mirrors': {
    request: 'POST /mirrors?action=run',
    parameters: ['action', 'source', 'dry_run'],
    takes: 'every body',
  },
  'cancel a job': { request: 'DELETE /jobs/{fresh}', parameters: [], takes: 'every body' },
}

let server: TestServer
let names: Record<string, string>

beforeAll(async () => {
  const config = {
    mode: 'dc',
    channels: [
      { name: 'release', description: 'what is done', default: true },
      { name: 'dev', description: 'everything' },
      { name: 'staging', description: 'what is tried' },
    ],
    datacenterName: 'here',
    imgapiUrlFromDatacenter: { there: 'http://127.0.0.1:9/' },
    allowPrivateSources: true,
    imports: { retries: 0 },
  }
  server = await startServer({ config, keep: true })
  const owner = uuid()
  const active = await publish(server, bytes(100), { owner, acl: [owner] })
  const waiting = await create(server, { owner })
  for (const { uuid: id } of [active, waiting]) {
    await call(server, 'POST', `/images/${id}?action=channel-add`, { body: { channel: 'dev' } })
  }
  names = { owner, active: active.uuid, waiting: waiting.uuid, other: uuid(), fresh: uuid() }
})

afterAll(async () => {
  await server.kill()
  rmSync(server.folder, { recursive: true, force: true })
})

const fill = (text: string) => text.replace(/\{(\w+)\}/g, (whole, name) => names[name] ?? whole)

async function state() {
  const headers = { 'accept-version': '~2' }
  return (await call(server, 'GET', '/images?state=all&channel=*&inclAdminFields=true', { headers })).text
}

/** Sends it, and makes sure that nothing has changed. */
async function refusal({ request, headers = {} }: Change, body: string | undefined) {
  const before = await state()
  const [method = '', path = ''] = fill(request).split(' ')
  const type = { 'content-type': 'application/json', ...headers }
  const answer = await call(server, method, path, { headers: type, ...(body !== undefined && { body }) })
  expect(await state()).toBe(before)
  return answer
}

const textOf = (body: unknown) =>
  body === undefined ? undefined : fill(typeof body === 'string' ? body : JSON.stringify(body))

function withEmpty(request: string, parameter: string) {
  const given = new RegExp(`([?&]${parameter}=)[^&]*`)
  if (given.test(request)) return request.replace(given, '$1')
  return `${request}${request.includes('?') ? '&' : '?'}${parameter}=`
}

test('every operation that changes something is in the table', () => {
  const pathOf = ({ request }: Change) => request.split('?')[0]!.replace(/\{\w+\}/, ':uuid')
  const tested = new Set(Object.values(CHANGES).map(pathOf))
  const changing = OPERATIONS.filter(({ method }) => method !== 'GET').map(
    ({ method, path }) => `${method} ${path}`,
  )
  expect(changing.filter(operation => !tested.has(operation))).toEqual([])
})

describe('an empty parameter is refused by its name, and nothing changes:', () => {
  const cases = Object.entries(CHANGES).flatMap(([name, change]) =>
    change.parameters.map((parameter): [string, string, Change] => [name, parameter, change]),
  )
  test.each(cases)('%s, %s=', async (_name, parameter, change) => {
    const request = withEmpty(change.request, parameter)
    const { status, text, body } = await refusal({ ...change, request }, textOf(change.body))
    // AdminUpdateState and RunMirrors have an error of their own for it, as the reference does.
    const field = body.errors?.[0]?.field ?? /^"(\w+)" is required$/.exec(body.message)?.[1]
    expect({ isRefused: status === 422 || status === 409, field }, text).toEqual({
      isRefused: true,
      field: parameter,
    })
  })
})

describe('a body that is not what the operation takes is refused, and nothing changes:', () => {
  const cases = Object.entries(CHANGES).flatMap(([name, change]) =>
    (Object.keys(BODIES) as Body[])
      .filter(body => change.takes !== 'every body' && !change.takes.includes(body))
      .map((body): [string, Body, Change] => [name, body, change]),
  )
  test.each(cases)('%s, %s', async (_name, body, change) => {
    const { status, text } = await refusal(change, BODIES[body])
    expect([400, 422], text).toContain(status)
  })
})

test('a body whose keys are misspelt is refused by those names', async () => {
  const misspelt: [Change, Record<string, unknown>, string][] = [
    [CHANGES.create!, manifest({ descripton: 'x' }), 'descripton'],
    [CHANGES.update!, { descripton: 'x' }, 'descripton'],
    [CHANGES['channel-add']!, { chanel: 'staging' }, 'channel'],
    [CHANGES['add a file from a URL']!, { file_url: 'http://127.0.0.1:9/', sha_1: 'x' }, 'sha_1'],
    [CHANGES['add a file from a URL']!, { file_url: 'http://127.0.0.1:9/', sha1: 5 }, 'sha1'],
    [CHANGES['add a file from a URL']!, { file_url: 'http://127.0.0.1:9/', sha1: '' }, 'sha1'],
  ]
  for (const [change, body, field] of misspelt) {
    const answer = await refusal(change, JSON.stringify(body))
    expect({ status: answer.status, field: answer.body.errors?.[0].field }).toEqual({ status: 422, field })
  }
})

test('a server without channels does not look at the channel, which clients send to every server', async () => {
  const plain = await startServer()
  for (const query of ['?channel=', '?channel=x']) {
    expect((await call(plain, 'POST', `/images${query}`, { body: manifest() })).status).toBe(200)
  }
})
