import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { OPERATIONS } from '../../src/http/imgapi/index.ts'
import { addFile, call, create, uuid } from '../support/api.ts'
import { portOf } from '../support/mistify.ts'
import { needs } from '../support/programs.ts'
import { AUTH, startServer, type TestServer } from '../support/server.ts'
import { SYSTEM, startShifter } from '../support/shifter.ts'

/**
 * Who may read what: every operation that reads, in every mode, under each `anonymous`, for each kind of caller. The
 * expectation comes from the rules as they are written below, not from the server: an operation that forgets one of
 * them shows an image that its caller may not see, or hides one.
 */

const MODES = ['standalone', 'public', 'private', 'dc'] as const
const ANONYMOUS = ['all', 'public', 'none'] as const
const [ALICE, BOB, CAROL] = [uuid(), uuid(), uuid()]

interface Sample {
  /** In the names and bytes of everything that belongs to the image. */
  mark: string
  uuid: string
  job: string
  isActive: boolean
  isActivated: boolean
  isPublic: boolean
  owner: string
  acl: string[]
}

interface Caller {
  name: string
  isAuthenticated: boolean
  account?: string
}

const CALLERS: Caller[] = [true, false].flatMap(isAuthenticated =>
  [undefined, ALICE, BOB, CAROL].map((account, index) => ({
    name: `${isAuthenticated ? 'a user' : 'anonymous'}${account ? ` for account ${'ABC'[index - 1]}` : ''}`,
    isAuthenticated,
    ...(account && { account }),
  })),
)

interface Setting {
  mode: (typeof MODES)[number]
  anonymous: (typeof ANONYMOUS)[number]
}

const mayRead = (
  { mode, anonymous }: Setting,
  { isAuthenticated, account }: Caller,
  image: Sample,
): boolean => {
  if (!isAuthenticated && anonymous === 'none') return false
  if (!isAuthenticated && anonymous === 'public' && !image.isPublic) return false
  if (!isAuthenticated && mode === 'standalone' && !image.isActivated) return false
  if (account === undefined || account === image.owner) return true
  return image.isActivated && (image.isPublic || image.acl.includes(account))
}

/** Work on an image is known before it is activated: those poll for it who asked for it. */
const mayKnow = (setting: Setting, caller: Caller, image: Sample) =>
  mayRead({ ...setting, mode: 'private' }, caller, image)

/** The mistify gateway has no accounts. */
const mayFind = (setting: Setting, { isAuthenticated }: Caller, image: Sample) =>
  mayRead(setting, { name: '', isAuthenticated }, image)

interface Operation {
  /** With `{uuid}` or `{job}` for one image after the other; without, it is a list. */
  path: string
  sees(setting: Setting, caller: Caller, image: Sample): boolean
  /** For operators alone, whatever the images. */
  needsUser?: boolean
  /** Not for accounts. */
  operatorOnly?: boolean
  /** The same for all clients. */
  isPublic?: boolean
  mistify?: boolean
}

const active: Operation['sees'] = (setting, caller, image) =>
  image.isActive && mayRead(setting, caller, image)
const nothing = () => false

/** By the path of the operation in the server's own table. */
const IMGAPI: Record<string, Operation[]> = {
  '/ping': [{ path: '/ping', sees: nothing, isPublic: true }],
  '/': [{ path: '/', sees: nothing, isPublic: true }],
  '/docs': [{ path: '/docs', sees: nothing, isPublic: true }],
  '/openapi.json': [{ path: '/openapi.json', sees: nothing, isPublic: true }],
  '/favicon.ico': [{ path: '/favicon.ico', sees: nothing, isPublic: true }],
  '/state': [{ path: '/state', sees: nothing, needsUser: true, operatorOnly: true }],
  '/mirrors': [
    { path: '/mirrors', sees: nothing, needsUser: true, operatorOnly: true },
    { path: '/mirrors?actions=true', sees: nothing, needsUser: true, operatorOnly: true },
  ],
  '/channels': [{ path: '/channels', sees: nothing }],
  '/jobs': [{ path: '/jobs', sees: mayKnow, needsUser: true }],
  '/jobs/:uuid': [{ path: '/jobs/{job}', sees: mayKnow }],
  '/images': [
    { path: '/images', sees: active },
    { path: '/images?channel=*', sees: active },
    { path: '/images?sort=published_at.desc&limit=1000', sees: active },
    {
      path: '/images?state=all',
      sees: (setting, caller, image) =>
        mayRead(setting, caller, image) &&
        (image.isActive || caller.isAuthenticated || setting.mode === 'dc'),
    },
    {
      path: '/images?public=false&name=~mark',
      sees: (setting, caller, image) => !image.isPublic && active(setting, caller, image),
    },
    {
      path: '/images?state=disabled',
      sees: (setting, caller, image) =>
        mayRead(setting, caller, image) &&
        // An account lists its own disabled images alone.
        [undefined, image.owner].includes(caller.account) &&
        image.isActivated &&
        !image.isActive &&
        (caller.isAuthenticated || setting.mode === 'dc'),
    },
  ],
  '/images/:uuid': [{ path: '/images/{uuid}', sees: mayRead }],
  '/images/:uuid/file': [{ path: '/images/{uuid}/file', sees: mayRead }],
  '/images/:uuid/icon': [{ path: '/images/{uuid}/icon', sees: mayRead }],
  '/images/:uuid/jobs': [{ path: '/images/{uuid}/jobs', sees: mayKnow }],
  '/datasets': [{ path: '/datasets', sees: active }],
  '/datasets/:arg': [
    { path: '/datasets/{uuid}', sees: mayRead },
    { path: '/datasets/mark', sees: active },
    { path: '/datasets/sdc:sdc:mark:1.0.0', sees: active },
  ],
}

const MISTIFY: Operation[] = [
  {
    path: '/images',
    mistify: true,
    sees: (setting, caller, image) => image.isActive && mayFind(setting, caller, image),
  },
  {
    path: '/images?type=container',
    mistify: true,
    sees: (setting, caller, image) => image.isActive && mayFind(setting, caller, image),
  },
  ...['/images/{uuid}', '/images/{uuid}/download'].map(
    (path): Operation => ({
      path,
      mistify: true,
      sees: (setting, caller, image) => image.isActivated && mayFind(setting, caller, image),
    }),
  ),
]

const OPERATION_LIST = [...Object.values(IMGAPI).flat(), ...MISTIFY]

/** An image with a file, an icon and a job, all of which bear its mark. */
async function makeImage(
  server: TestServer,
  state: 'active' | 'disabled' | 'unactivated',
  rest: { public: boolean; acl?: string[] },
): Promise<Sample> {
  const mark = `mark-${uuid()}`
  const fields = {
    name: 'mark',
    version: '1.0.0',
    type: 'other',
    os: 'other',
    owner: ALICE,
    description: mark,
  }
  const { uuid: id } = await create(server, { ...fields, ...rest })
  await addFile(server, id, Buffer.from(`file of ${mark}`))
  const headers = { 'content-type': 'image/png' }
  await call(server, 'PUT', `/images/${id}/icon`, { headers, body: Buffer.from(`icon of ${mark}`) })
  if (state !== 'unactivated') await call(server, 'POST', `/images/${id}?action=activate`)
  if (state === 'disabled') await call(server, 'POST', `/images/${id}?action=disable`)
  const job = uuid()
  writeFileSync(join(server.datadir, '.jobs', `${job}.json`), JSON.stringify(jobOf(job, id, mark)))
  return {
    mark,
    uuid: id,
    job,
    isActive: state === 'active',
    isActivated: state !== 'unactivated',
    isPublic: rest.public,
    owner: ALICE,
    acl: rest.acl ?? [],
  }
}

function jobOf(job: string, image: string, mark: string) {
  const at = new Date().toISOString()
  return {
    uuid: job,
    task: 'import-remote-image',
    image_uuid: image,
    source: `https://images.example.com/${mark}`,
    secret_source: 'https://images.example.com/',
    channel: 'release',
    state: 'succeeded',
    retries: 0,
    created_at: at,
    finished_at: at,
    steps: [],
    made: [],
    partials: [],
  }
}

test('every operation that reads is in the table of this test', () => {
  const paths = OPERATIONS.filter(({ method }) => method === 'GET').map(({ path }) => path)
  expect(Object.keys(IMGAPI).sort()).toEqual([...new Set(paths)].sort())
})

describe('the same images', () => {
  let home: TestServer
  let samples: Sample[]

  beforeAll(async () => {
    home = await startServer({
      keep: true,
      config: { channels: [{ name: 'release', description: 'x', default: true }] },
    })
    samples = await Promise.all([
      makeImage(home, 'active', { public: true }),
      makeImage(home, 'active', { public: false }),
      makeImage(home, 'active', { public: false, acl: [BOB] }),
      makeImage(home, 'disabled', { public: true }),
      makeImage(home, 'disabled', { public: false }),
      makeImage(home, 'unactivated', { public: true }),
      makeImage(home, 'unactivated', { public: false }),
    ])
    await home.stop()
  })

  afterAll(() => rmSync(home.folder, { recursive: true, force: true }))

  const settings = MODES.flatMap(mode => ANONYMOUS.map(anonymous => ({ mode, anonymous })))

  test.each(settings)('in mode $mode with anonymous $anonymous', async setting => {
    const server = await startServer({
      folder: home.folder,
      config: {
        ...setting,
        channels: [{ name: 'release', description: 'x', default: true }],
        gateways: { mistify: { port: 0 } },
      },
    })
    const mistify = { url: `http://127.0.0.1:${await portOf(server)}` }
    const wrong: string[] = []
    for (const caller of CALLERS) {
      const found = OPERATION_LIST.map(operation =>
        examine(operation.mistify ? mistify : server, setting, caller, operation),
      )
      for (const problem of (await Promise.all(found)).flat()) wrong.push(`${caller.name}: ${problem}`)
    }
    expect(wrong).toEqual([])
    await server.stop()
  })

  /** What an operation does otherwise than the rules say. */
  async function examine(at: { url: string }, setting: Setting, caller: Caller, operation: Operation) {
    const wrong: string[] = []
    const isEach = operation.path.includes('{')
    for (const image of isEach ? samples : [undefined]) {
      const path = addAccount(
        operation.path.replace('{uuid}', image?.uuid ?? '').replace('{job}', image?.job ?? ''),
        caller.account,
      )
      const headers = caller.isAuthenticated ? AUTH : {}
      const answer = await call(at, 'GET', path, { anonymous: true, headers })
      const head = await call(at, 'HEAD', path, { anonymous: true, headers })
      const isRefused = refusal(setting, caller, operation)
      const shown = isRefused ? [] : samples.filter(sample => operation.sees(setting, caller, sample))
      const isHidden = image && !shown.includes(image)
      if (isRefused && answer.status !== isRefused)
        wrong.push(`${path} is ${answer.status}, not ${isRefused}`)
      if (!isRefused && image && !isHidden && answer.status !== 200) wrong.push(`${path} is ${answer.status}`)
      if (!isRefused && !image && answer.status !== 200) wrong.push(`${path} is ${answer.status}`)
      if (isHidden && answer.status === 200 && answer.text !== '[]') wrong.push(`${path} is 200`)
      if (head.status !== answer.status || head.text !== '') wrong.push(`HEAD ${path} is ${head.status}`)
      for (const sample of samples) {
        const isShown = answer.text.includes(sample.mark)
        const isWanted = image ? sample === image && !isHidden : shown.includes(sample)
        const what = `${sample.isPublic ? 'public' : 'private'}, ${sample.isActive ? 'active' : 'not active'}`
        if (isShown && !isWanted) wrong.push(`${path} shows an image that is ${what}`)
        // A mistify answer has no description of images that were not made for it; their UUIDs are there.
        const isFound = isShown || (operation.mistify && answer.text.includes(sample.uuid))
        if (isWanted && !isFound) wrong.push(`${path} does not show an image that is ${what}`)
        if (!isWanted && !image && answer.text.includes(sample.uuid)) wrong.push(`${path} names one: ${what}`)
      }
    }
    return wrong
  }
})

/** The status by which all is refused to a caller, whatever the images. */
function refusal({ anonymous }: Setting, { isAuthenticated, account }: Caller, operation: Operation) {
  if (operation.isPublic) return undefined
  if (!isAuthenticated && (operation.needsUser || anonymous === 'none')) return 401
  return operation.operatorOnly && account !== undefined ? 403 : undefined
}

const addAccount = (path: string, account: string | undefined) =>
  account === undefined ? path : `${path}${path.includes('?') ? '&' : '?'}account=${account}`

test('a job whose image is not here yet is for those who may see images that are not public', async () => {
  const first = await startServer()
  await first.stop()
  const job = uuid()
  const mark = 'mark-of-a-job'
  mkdirSync(join(first.datadir, '.jobs'), { recursive: true })
  const image = uuid()
  writeFileSync(join(first.datadir, '.jobs', `${job}.json`), JSON.stringify(jobOf(job, image, mark)))
  for (const [anonymous, status] of [
    ['all', 200],
    ['public', 404],
    ['none', 401],
  ] as const) {
    const server = await startServer({ folder: first.folder, config: { anonymous } })
    expect((await call(server, 'GET', `/jobs/${job}`, { anonymous: true })).status).toBe(status)
    expect(
      (await call(server, 'GET', `/images/${image}/jobs`, { anonymous: true })).text.includes(mark),
    ).toBe(anonymous === 'all')
    expect((await call(server, 'GET', `/jobs/${job}`)).status).toBe(200)
    await server.stop()
  }
})

test('wrong credentials are refused by everything that looks at credentials', async () => {
  const server = await startServer({ config: { anonymous: 'all', gateways: { mistify: { port: 0 } } } })
  const mistify = { url: `http://127.0.0.1:${await portOf(server)}` }
  const headers = { authorization: `Basic ${Buffer.from('admin:wrong').toString('base64')}` }
  const id = uuid()
  const looking = OPERATION_LIST.filter(
    ({ path, isPublic }) => (!isPublic && path !== '/channels') || path === '/ping',
  )
  const answers = looking.map(async ({ path, mistify: isMistify }) => {
    const target = path.replace('{uuid}', id).replace('{job}', id)
    return [target, (await call(isMistify ? mistify : server, 'GET', target, { headers })).status]
  })
  for (const [target, status] of await Promise.all(answers)) expect(status, String(target)).toBe(401)
})

needs('mksquashfs', 'squashfs-tools')(
  'the gateway of Shifter shows nothing to who has no credential for its system',
  async () => {
    const { server, url } = await startShifter()
    for (const verb of ['list', 'lookup', 'queue', 'metrics', 'expire', 'autoexpire']) {
      const image = verb === 'lookup' || verb === 'expire' ? 'docker/alpine:3/' : ''
      for (const headers of [{}, AUTH, { authentication: 'bad' }] as Record<string, string>[]) {
        const path = `/api/${verb}/${SYSTEM}/${image}`
        const answer = await call({ url }, 'GET', path, { anonymous: true, headers })
        expect(answer.status, path).toBe(404)
        expect(answer.body.error).toBe('Bad session or system')
      }
    }
    await server.stop()
  },
)
