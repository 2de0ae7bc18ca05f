import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { needsAll } from '../../support/programs.ts'
import { rawRequest, sendRaw } from '../../support/raw-http.ts'
import {
  ALICE,
  ask,
  importFile,
  lookup,
  mock,
  postPull,
  ROOT,
  readMeta,
  SYSTEM,
  squashfs,
  startShifter,
} from '../../support/shifter.ts'
import { until } from '../../support/until.ts'

/** The API as a table of cases: every path, with what it takes and what it refuses. */

const test = needsAll({ mksquashfs: 'squashfs-tools' })

const KEYS = [
  'id',
  'system',
  'itype',
  'tag',
  'status',
  'userACL',
  'groupACL',
  'ENV',
  'ENTRY',
  'WORKDIR',
  'LABELS',
  'last_pull',
  'status_message',
]

test('an imported file is an image that is looked up, listed, used and expired', async () => {
  const gateway = await startShifter()
  const path = await squashfs()
  const image = await importFile(gateway, 'tools/compiler:1.2', path)
  expect(Object.keys(image)).toEqual(KEYS)
  expect(image).toMatchObject({
    id: expect.stringMatching(/^[0-9a-f]{64}$/),
    system: SYSTEM,
    itype: 'custom',
    tag: ['tools/compiler:1.2'],
    status: 'READY',
    userACL: null,
    groupACL: null,
    ENV: 'MISSING',
    LABELS: 'MISSING',
  })
  const [file, meta] = ['squashfs', 'meta'].map(end => join(gateway.imageDir, `${image.id}.${end}`))
  expect(readMeta(meta!).lines).toEqual([['FORMAT', 'squashfs']])
  for (const one of [file!, meta!]) expect(statSync(one).mode & 0o777).toBe(0o600)
  expect(statSync(file!).size).toBe(statSync(path).size)

  const { body } = await ask(gateway, 'GET', `/api/list/${SYSTEM}/`)
  expect(body.list).toEqual([image])
  const metrics = await ask(gateway, 'GET', `/api/metrics/${SYSTEM}/?limit=1`, { as: ROOT })
  expect(metrics.body).toEqual([
    {
      user: 'alice',
      uid: 5001,
      system: SYSTEM,
      type: 'custom',
      tag: 'tools/compiler:1.2',
      id: image.id,
      time: expect.any(Number),
    },
  ])

  const expire = `/api/expire/${SYSTEM}/custom/tools%2Fcompiler%3A1.2/`
  expect((await ask(gateway, 'GET', expire)).body).toEqual({ status: false })
  expect((await ask(gateway, 'GET', expire, { as: ROOT })).body).toEqual({ status: true })
  expect((await ask(gateway, 'GET', expire, { as: ROOT })).body).toEqual({ status: null })
  expect((await lookup(gateway, 'tools/compiler:1.2', { type: 'custom' })).status).toBe(404)
  await until('the files are gone', () => readdirSync(gateway.imageDir).length === 0)
})

test('every path wants a credential, but for the one that names the verbs', async () => {
  const gateway = await startShifter()
  const paths = [
    ['GET', `/api/list/${SYSTEM}/`],
    ['GET', `/api/lookup/${SYSTEM}/docker/demo/`],
    ['POST', `/api/pull/${SYSTEM}/docker/demo/`],
    ['POST', `/api/doimport/${SYSTEM}/custom/demo/`],
    ['GET', `/api/expire/${SYSTEM}/docker/demo/`],
    ['GET', `/api/autoexpire/${SYSTEM}/`],
    ['GET', `/api/queue/${SYSTEM}/`],
    ['GET', `/api/metrics/${SYSTEM}/`],
  ]
  const refused = ['bad:alice:alice', 'good', 'good:alice', 'good:alice:alice:x:y', 'good:a:a::1:2:3', '']
  for (const [method, path] of paths) {
    for (const as of [null, ...refused]) {
      const answer = await ask(gateway, method!, path!, { as })
      expect(answer, `${path} as ${as}`).toMatchObject({ status: 404, type: 'application/json' })
      expect(answer.body).toMatchObject({
        status: 404,
        error: 'Bad session or system',
        message: `Not Found: ${gateway.url}${path}`,
      })
    }
    const elsewhere = await ask(gateway, method!, path!.replace(SYSTEM, 'nowhere'))
    expect(elsewhere.body).toMatchObject({ status: 404, error: 'Bad session or system' })
  }
  const root = await ask(gateway, 'GET', '/', { as: null })
  expect(root).toMatchObject({ status: 200, type: 'text/plain', text: '{lookup,pull,expire,list}' })
})

test('what is no request of the API is refused in JSON', async () => {
  const gateway = await startShifter()
  const cases: [string, string, unknown, number, string][] = [
    ['GET', '/nope', undefined, 404, 'Requested URL /nope not found'],
    ['GET', '/api', undefined, 404, 'Requested URL /api not found'],
    ['GET', '/api/list', undefined, 404, 'Requested URL /api/list not found'],
    [
      'GET',
      `/api/lookup/${SYSTEM}/docker`,
      undefined,
      404,
      `Requested URL /api/lookup/${SYSTEM}/docker not found`,
    ],
    ['GET', `/api/list/${SYSTEM}/x`, undefined, 404, `Requested URL /api/list/${SYSTEM}/x not found`],
    ['GET', '/api/constructor/x', undefined, 404, 'Requested URL /api/constructor/x not found'],
    ['GET', '/api/list/%zz', undefined, 404, 'Requested URL /api/list/%zz not found'],
    ['GET', `/api/lookup/${SYSTEM}/docker/nothing`, undefined, 404, 'image not found'],
    ['GET', `/api/pull/${SYSTEM}/docker/demo`, undefined, 405, 'method not allowed'],
    ['DELETE', `/api/expire/${SYSTEM}/docker/demo`, undefined, 405, 'method not allowed'],
    ['POST', `/api/pull/${SYSTEM}/custom/demo`, undefined, 400, 'only images of type docker can be pulled'],
    ['POST', `/api/doimport/${SYSTEM}/custom/demo`, {}, 400, 'filepath and format are required'],
    [
      'POST',
      `/api/doimport/${SYSTEM}/custom/demo`,
      { filepath: 'x', format: 'squashfs' },
      400,
      'filepath must be an absolute path',
    ],
    [
      'POST',
      `/api/doimport/${SYSTEM}/custom/demo`,
      { filepath: '/x', format: 'iso' },
      400,
      '"iso" is not an image format',
    ],
    ['GET', `/api/metrics/${SYSTEM}?limit=many`, undefined, 400, 'limit must be a number'],
  ]
  for (const bad of ['x', '1,,2', '-1', '4294967295', [{}]]) {
    const error = 'allowed_uids and allowed_gids must be numbers separated by commas'
    cases.push(['POST', `/api/pull/${SYSTEM}/docker/demo`, { allowed_uids: bad }, 400, error])
  }
  for (const [method, path, body, status, error] of cases) {
    const answer = await ask(gateway, method, path, { body })
    expect(answer, `${method} ${path}`).toMatchObject({ status, type: 'application/json' })
    expect(answer.body).toMatchObject({ status, error })
  }
  const broken = await ask(gateway, 'POST', `/api/pull/${SYSTEM}/docker/demo`, { body: '{' })
  expect(broken.status).toBe(400)
})

test('a fresh pull has all of its keys, and nothing in them yet', async () => {
  const gateway = await startShifter()
  const { status, body } = await postPull(gateway, 'library/demo:latest')
  expect(status).toBe(200)
  expect(Object.keys(body)).toEqual(KEYS)
  expect(body).toEqual({
    id: 'MISSING',
    system: SYSTEM,
    itype: 'docker',
    tag: [],
    status: 'INIT',
    userACL: [],
    groupACL: [],
    ENV: 'MISSING',
    ENTRY: 'MISSING',
    WORKDIR: 'MISSING',
    LABELS: 'MISSING',
    last_pull: 'MISSING',
    status_message: 'MISSING',
  })
})

test('the headers and the times are those that the client can read, byte for byte', async () => {
  const gateway = await startShifter()
  await importFile(gateway, 'tool:1', await squashfs())
  const headers = { Authorization: '', AUTHENTICATION: mock(ALICE) }
  for (const path of [`/api/list/${SYSTEM}/`, `/api/lookup/${SYSTEM}/custom/tool%3A1/`]) {
    const { status, head, body } = await sendRaw(gateway.port, rawRequest(`GET ${path}`, headers))
    expect(status).toBe(200)
    expect(head).toMatch(/^Content-Type: application\/json\r?$/im)
    expect(head).toMatch(new RegExp(`^Content-Length: ${Buffer.byteLength(body)}\r?$`, 'im'))
    expect(head).not.toMatch(/transfer-encoding/i)
    expect(body).toMatch(/"last_pull":\d{10}\.\d+[,}]/)
    expect(body).not.toContain('\n')
  }
})

test('a name is the same image encoded and raw, with and without a slash at the end and the tag latest', async () => {
  const gateway = await startShifter()
  const image = await importFile(gateway, 'team/tool', await squashfs())
  expect(image.tag).toEqual(['team/tool:latest'])
  for (const name of [
    'team%2Ftool%3Alatest',
    'team/tool:latest',
    'team%2Ftool',
    'team/tool',
    'team%2ftool:latest',
  ]) {
    for (const end of ['', '/']) {
      const { status, body } = await ask(gateway, 'GET', `/api/lookup/${SYSTEM}/custom/${name}${end}`)
      expect(status, name).toBe(200)
      expect(body.id).toBe(image.id)
    }
  }
  expect((await ask(gateway, 'GET', `/api/lookup/${SYSTEM}/id/${image.id}/`)).body.id).toBe(image.id)
})

test('autoexpire removes what was last used too long ago, and nothing that was never used', async () => {
  const gateway = await startShifter({ imagemanager: { ImageExpirationTimeout: '00:00:00:01' } })
  const used = await importFile(gateway, 'used:1', await squashfs('used'))
  const path = await squashfs('unused')
  await ask(gateway, 'POST', `/api/doimport/${SYSTEM}/custom/unused:1`, {
    body: { filepath: path, format: 'squashfs' },
  })
  const listed = async () =>
    (await ask(gateway, 'GET', `/api/list/${SYSTEM}/`)).body.list.flatMap(({ tag }: { tag: string[] }) => tag)
  await until('both are there', async () => (await listed()).length === 2)
  const expired: string[] = []
  await until('the used one has expired', async () => {
    const { body } = await ask(gateway, 'GET', `/api/autoexpire/${SYSTEM}/`, { as: ROOT })
    expired.push(...body.status)
    return expired.length > 0
  })
  expect(expired).toEqual([used.id])
  expect(await listed()).toEqual(['unused:1'])
  await until('its files are gone', () => readdirSync(gateway.imageDir).length === 2)
})

test('two names of one file are one image, and expire together', async () => {
  const gateway = await startShifter()
  const path = await squashfs()
  const first = await importFile(gateway, 'one:1', path)
  const second = await importFile(gateway, 'two:1', path)
  expect(second).toMatchObject({ id: first.id, tag: ['two:1', 'one:1'] })
  expect(readdirSync(gateway.imageDir)).toHaveLength(2)
  await ask(gateway, 'GET', `/api/expire/${SYSTEM}/custom/one:1`, { as: ROOT })
  expect((await lookup(gateway, 'two:1', { type: 'custom' })).status).toBe(404)
  await until('its files are gone', () => readdirSync(gateway.imageDir).length === 0)
})

test('a name that gets another image leaves the old one without it', async () => {
  const gateway = await startShifter()
  const old = await importFile(gateway, 'tool:1', await squashfs('old'))
  const next = await importFile(gateway, 'tool:1', await squashfs('new'))
  expect(next.id).not.toBe(old.id)
  expect((await lookup(gateway, 'tool:1', { type: 'custom' })).body.id).toBe(next.id)
  // Jobs may be using it.
  expect(existsSync(join(gateway.imageDir, `${old.id}.squashfs`))).toBe(true)
  const { body } = await ask(gateway, 'GET', `/api/list/${SYSTEM}/`)
  const tags = Object.fromEntries(body.list.map(({ id, tag }: { id: string; tag: string[] }) => [id, tag]))
  expect(tags).toEqual({ [old.id]: [], [next.id]: ['tool:1'] })
})
