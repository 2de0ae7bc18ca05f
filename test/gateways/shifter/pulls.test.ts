import { randomBytes } from 'node:crypto'
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { selfSigned } from '../../support/certificate.ts'
import { namesIn } from '../../support/folders.ts'
import { Gate } from '../../support/program-gate.ts'
import { needsAll } from '../../support/programs.ts'
import { LOGIN, startPulling, WITH_LOGIN } from '../../support/pulling.ts'
import { run } from '../../support/run.ts'
import { ScriptedRegistry } from '../../support/scripted-registry.ts'
import { temporaryFolder } from '../../support/server.ts'
import {
  ALICE,
  ask,
  BOB,
  lookup,
  pathOf,
  postPull,
  pull,
  ROOT,
  readMeta,
  type ShifterServer,
  SYSTEM,
  startShifter,
  type User,
} from '../../support/shifter.ts'
import { until } from '../../support/until.ts'

/** When the gateway asks the registry, for whom, and what clients are told meanwhile. */

const test = needsAll({ sqfstar: 'squashfs-tools', unsquashfs: 'squashfs-tools' })

/** The times it asked for a manifest. */
const asked = (registry: ScriptedRegistry) =>
  registry.requests.filter(({ path }) => path.includes('/manifests/')).length

const files = (gateway: ShifterServer) => namesIn(gateway.imageDir)

test('a pulled image is a file of squashfs and what the runtime reads of it', async () => {
  const { registry, gateway } = await startPulling()
  const { id } = await registry.put('library/demo:latest', {
    files: { 'etc/motd': 'welcome\n' },
    config: {
      Env: ['PATH=/bin', 'FOO=a b=c'],
      Entrypoint: ['/bin/sh', '-c'],
      Cmd: ['cat /etc/motd'],
      WorkingDir: '/data',
      Labels: { maintainer: 'test' },
    },
  })
  const record = await pull(gateway, 'library/demo:latest')
  expect(record).toMatchObject({
    id,
    status: 'READY',
    tag: ['library/demo:latest'],
    userACL: [],
    groupACL: [],
    ENV: ['PATH=/bin', 'FOO=a b=c'],
    ENTRY: ['/bin/sh', '-c'],
    WORKDIR: '/data',
    LABELS: 'MISSING',
    status_message: 'Transferring image',
  })
  expect(files(gateway)).toEqual([`${id}.meta`, `${id}.squashfs`])
  expect(readMeta(join(gateway.imageDir, `${id}.meta`)).lines).toEqual([
    ['FORMAT', 'squashfs'],
    ['ENTRY', "['/bin/sh', '-c']"],
    ['CMD', "['cat /etc/motd']"],
    ['WORKDIR', '/data'],
    ['ENV', 'PATH=/bin'],
    ['ENV', 'FOO=a b=c'],
  ])
  const image = join(gateway.imageDir, `${id}.squashfs`)
  expect((await run('unsquashfs', ['-cat', image, 'etc/motd'])).stdout).toBe('welcome\n')
  expect((await lookup(gateway, 'library/demo')).body).toEqual(record)
})

test('however often it is asked for, an image is pulled once', async () => {
  const { registry, gateway } = await startPulling()
  await registry.put('team/demo:1')
  const users = Array.from({ length: 20 }, (_, index) => ({
    name: `user${index}`,
    uid: 7000 + index,
    gid: 1,
  }))
  const records = await Promise.all(users.map(as => pull(gateway, 'team/demo:1', { as })))
  expect(new Set(records.map(({ status }) => status))).toEqual(new Set(['READY']))
  expect(asked(registry)).toBe(1)
})

test('no more images are made at once than WorkerThreads, and downloads do not wait for them', async () => {
  const registry = await new ScriptedRegistry().start()
  const tags = ['team/a:1', 'team/b:1', 'team/c:1', 'team/d:1']
  for (const tag of tags) await registry.put(tag, { files: { name: tag } })
  const gate = new Gate('sqfstar')
  const imagemanager = { ...registry.locations, WorkerThreads: 2 }
  const gateway = await startShifter({ imagemanager, env: gate.env })
  for (const tag of tags) await postPull(gateway, tag)
  const layers = () => namesIn(join(gateway.server.datadir, '.shifter/blobs'))
  const states = async () => {
    const { body } = await ask(gateway, 'GET', `/api/queue/${SYSTEM}/`)
    return body.list.map(({ status }: { status: string }) => status).sort()
  }
  const wanted = ['CONVERSION', 'CONVERSION', 'PULLING', 'PULLING']
  await until('two are made', async () => (await states()).join() === wanted.join())
  await until('all are fetched', () => layers().length === 4)
  expect(await states()).toEqual(wanted)
  gate.open()
  for (const tag of tags) expect(await pull(gateway, tag)).toMatchObject({ status: 'READY' })
})

test('a new image behind a tag comes with a pull after PullUpdateTimeout', async () => {
  const { registry, gateway } = await startPulling({ imagemanager: { PullUpdateTimeout: 2 } })
  const old = await registry.put('team/demo:1', { files: { version: '1' } })
  expect((await pull(gateway, 'team/demo:1')).id).toBe(old.id)
  const next = await registry.put('team/demo:1', { files: { version: '2' } })
  await until('it is looked at again', async () => {
    await postPull(gateway, 'team/demo:1')
    return (await lookup(gateway, 'team/demo:1')).body.id === next.id
  })
  // Jobs may be using the old one.
  expect(files(gateway)).toHaveLength(4)
})

test('before that the registry is not asked again', async () => {
  const { registry, gateway } = await startPulling()
  const { id } = await registry.put('team/demo:1')
  await pull(gateway, 'team/demo:1')
  await registry.put('team/demo:1', { files: { version: '2' } })
  expect((await postPull(gateway, 'team/demo:1')).body).toMatchObject({ status: 'READY', id })
  expect(asked(registry)).toBe(1)
})

test('by its digest an image is pulled too', async () => {
  const { registry, gateway } = await startPulling()
  const { id } = await registry.put('team/demo:1')
  const record = await pull(gateway, `team/demo@sha256:${id}`)
  expect(record).toMatchObject({ status: 'READY', id, tag: [`team/demo@sha256:${id}`] })
})

test('the reason of a failure is told, for a moment to all, and then it is tried again', async () => {
  const { registry, gateway } = await startPulling({ settings: { retryAfter: 1 } })
  const failed = await pull(gateway, 'team/demo:1')
  expect(failed).toMatchObject({ status: 'FAILURE', id: 'MISSING', tag: [] })
  expect(failed.status_message).toMatch(/no such image|not found|unknown|404/i)
  expect((await lookup(gateway, 'team/demo:1')).status).toBe(404)
  await registry.put('team/demo:1')
  await until(
    'it is tried again',
    async () => (await postPull(gateway, 'team/demo:1')).body.status === 'READY',
  )
  const { body } = await ask(gateway, 'GET', `/api/queue/${SYSTEM}/`)
  expect(body.list).toEqual([])
  expect(files(gateway)).toHaveLength(2)
})

test('names that are none fail with what is wrong', async () => {
  const { registry, gateway } = await startPulling()
  const reasons = {
    'registry:5000/demo:1': '"registry:5000" is not the key of one of the Locations',
    'Team/Demo:1': '"Team/Demo" is not a valid repository name',
    '../../etc/passwd': '"../../etc/passwd" is not a valid repository name',
    'demo:1 2': '"1 2" is not a valid tag',
    'demo@sha256:12': '"sha256:12" is not a valid digest',
  }
  for (const [tag, reason] of Object.entries(reasons)) {
    expect(await pull(gateway, tag)).toMatchObject({ status: 'FAILURE', status_message: reason })
  }
  expect(registry.requests).toEqual([])
})

test('a private image is for who pulled it, and a login makes a failure a new request', async () => {
  const { registry, gateway } = await startPulling()
  const { id } = await registry.put('secret/demo:1', { login: LOGIN })
  expect((await pull(gateway, 'secret/demo:1')).status).toBe('FAILURE')
  const record = await pull(gateway, 'secret/demo:1', { as: WITH_LOGIN })
  expect(record).toMatchObject({ status: 'READY', id, userACL: [ALICE.uid], groupACL: [] })
  expect(readMeta(join(gateway.imageDir, `${id}.meta`))).toMatchObject({ USERACL: '5001', GROUPACL: '' })

  // Neither a lookup nor a pull gives another user access.
  expect((await lookup(gateway, 'secret/demo:1', { as: BOB })).status).toBe(404)
  expect(await pull(gateway, 'secret/demo:1', { as: BOB })).toMatchObject({
    status: 'FAILURE',
    id: 'MISSING',
  })
  expect((await postPull(gateway, 'secret/demo:1')).body.status).toBe('READY')
  // With a login of the own the user gets access, and the others keep it.
  const bob = { ...BOB, logins: { default: LOGIN } }
  expect((await pull(gateway, 'secret/demo:1', { as: bob })).userACL).toEqual([ALICE.uid, BOB.uid])
  expect(files(gateway)).toHaveLength(2)
})

test('each user sees the failure of the own login, also after requests of others', async () => {
  const { registry, gateway } = await startPulling({ settings: { retryAfter: 300 } })
  await registry.put('secret/demo:1', { login: LOGIN })
  const eve = { ...BOB, logins: { here: 'eve:wrong' } }
  for (const as of [ALICE, eve]) expect((await pull(gateway, 'secret/demo:1', { as })).status).toBe('FAILURE')
  const before = asked(registry)
  for (const as of [ALICE, eve, ALICE, eve]) {
    expect((await postPull(gateway, 'secret/demo:1', { as })).body.status).toBe('FAILURE')
  }
  expect(asked(registry)).toBe(before)
})

test('nothing of a private image is shown to those who ask while it is pulled', async () => {
  const registry = await new ScriptedRegistry().start()
  await registry.put('secret/demo:1', { login: LOGIN, config: { Env: ['TOKEN=hidden'] } })
  const folder = temporaryFolder()
  const examiner = join(folder, 'examiner')
  writeFileSync(
    examiner,
    `#!/bin/sh\n: > ${folder}/waiting\nwhile [ ! -e ${folder}/go ]; do sleep 0.02; done\n`,
  )
  chmodSync(examiner, 0o755)
  const gateway = await startShifter({ imagemanager: { ...registry.locations, examiner } })
  await postPull(gateway, 'secret/demo:1', { as: WITH_LOGIN, body: { allowed_uids: '77' } })
  await until('it is examined', () => namesIn(folder).includes('waiting'))
  const { body } = await postPull(gateway, 'secret/demo:1', { as: BOB })
  expect(body).toMatchObject({ status: 'EXAMINATION', id: 'MISSING', userACL: [], ENV: 'MISSING', tag: [] })
  writeFileSync(join(folder, 'go'), '')
  expect((await pull(gateway, 'secret/demo:1', { as: WITH_LOGIN })).ENV).toEqual(['TOKEN=hidden'])
})

test('lists of a private image are those of the last pull that had any, and its file is not made again', async () => {
  const { registry, gateway } = await startPulling({ imagemanager: { PullUpdateTimeout: 2 } })
  const { id } = await registry.put('secret/demo:1', { login: LOGIN })
  // The least time after which lists are changed.
  const body = { allowed_uids: '1,2', allowed_gids: '100' }
  const first = await pull(gateway, 'secret/demo:1', { as: WITH_LOGIN, body })
  expect(first).toMatchObject({ userACL: [1, 2, ALICE.uid], groupACL: [100, ALICE.gid] })
  const image = join(gateway.imageDir, `${id}.squashfs`)
  const { ino } = statSync(image)
  await until('the lists are the new ones', async () => {
    const again = await postPull(gateway, 'secret/demo:1', { as: WITH_LOGIN, body: { allowed_uids: '3' } })
    return again.body.status === 'READY' && again.body.userACL[0] === 3
  })
  expect((await lookup(gateway, 'secret/demo:1')).body).toMatchObject({
    userACL: [3, ALICE.uid],
    groupACL: [],
  })
  expect(readMeta(join(gateway.imageDir, `${id}.meta`))).toMatchObject({ USERACL: '3,5001', GROUPACL: '' })
  expect((await lookup(gateway, 'secret/demo:1', { as: { name: 'x', uid: 1, gid: 100 } })).status).toBe(404)
  expect(statSync(image).ino).toBe(ino)
})

test('lists mean nothing for a public image', async () => {
  const { registry, gateway } = await startPulling()
  await registry.put('team/demo:1')
  const record = await pull(gateway, 'team/demo:1', { as: WITH_LOGIN, body: { allowed_uids: '1' } })
  expect(record).toMatchObject({ status: 'READY', userACL: [], groupACL: [] })
  expect(registry.requests.every(({ authorization }) => authorization === undefined)).toBe(true)
  expect((await lookup(gateway, 'team/demo:1', { as: BOB })).status).toBe(200)
})

test('a login is neither kept nor logged, and others do not see what came with one', async () => {
  const { gateway } = await startPulling()
  await pull(gateway, 'secret/hidden:1', { as: WITH_LOGIN })
  const queue = async (as: User) => (await ask(gateway, 'GET', `/api/queue/${SYSTEM}/`, { as })).body.list
  expect(await queue(WITH_LOGIN)).toEqual([{ status: 'FAILURE', image: 'secret/hidden:1' }])
  expect(await queue(ROOT)).toHaveLength(1)
  expect(await queue(BOB)).toEqual([])
  await gateway.server.stop()
  expect(JSON.stringify(gateway.server.log())).not.toContain('s3cret')
  const kept = await run('grep', ['-r', 's3cret', gateway.server.datadir, gateway.imageDir])
  expect(kept.stdout).toBe('')
})

test('what an image says of itself becomes no line of its own', async () => {
  const { registry, gateway } = await startPulling()
  const { id } = await registry.put('evil/demo:1', {
    config: {
      Env: [
        'A=1\nUSERACL: 0',
        'B=2\\',
        'C=3\r\nFORMAT: VFS',
        "D=it's",
        'E=\u2028',
        'F=ok',
        'G=tail\\  ',
        '#H=8',
      ],
      Entrypoint: ['/bin/sh', "-c'] x"],
      Cmd: ['a', 'b\nENV: X=1'],
      WorkingDir: '/data\nUSERACL: 1',
    },
  })
  const record = await pull(gateway, 'evil/demo:1')
  expect(record.status).toBe('READY')
  expect(record.status_message).toBe(
    'Transferring image; the runtime cannot read some of its ENTRY, CMD, WORKDIR, ENV',
  )
  expect(readMeta(join(gateway.imageDir, `${id}.meta`)).lines).toEqual([
    ['FORMAT', 'squashfs'],
    ['ENV', "D=it's"],
    ['ENV', 'F=ok'],
    ['ENV', '#H=8'],
  ])
})

test('labels are shown where the operator asks for them, in the config or else in the environment', async () => {
  const registry = await new ScriptedRegistry().start()
  const Labels = { maintainer: 'test' }
  await registry.put('team/demo:1', { config: { Labels } })
  const env = { ENABLE_LABELS: '1' }
  for (const [options, shown] of [
    [{ env }, Labels],
    [{ settings: { labels: true } }, Labels],
    [{ env, settings: { labels: false } }, 'MISSING'],
  ] as const) {
    const gateway = await startShifter({ imagemanager: registry.locations, ...options })
    expect((await pull(gateway, 'team/demo:1')).LABELS).toEqual(shown)
  }
})

test('the examiner sees the files of the image and may refuse it', async () => {
  const folder = temporaryFolder()
  const examiner = join(folder, 'examiner')
  writeFileSync(
    examiner,
    `#!/bin/sh\necho "$2" >> ${folder}/seen\nif [ -e "$1/bad" ]; then echo "bad file found" >&2; exit 3; fi\n`,
  )
  chmodSync(examiner, 0o755)
  const registry = await new ScriptedRegistry().start()
  const good = await registry.put('team/good:1')
  await registry.put('team/bad:1', { files: { bad: 'x', 'locked/file': 'y' } })
  const gateway = await startShifter({ imagemanager: { ...registry.locations, examiner } })
  expect((await pull(gateway, 'team/good:1')).status).toBe('READY')
  const bad = await pull(gateway, 'team/bad:1')
  expect(bad).toMatchObject({
    status: 'FAILURE',
    status_message: 'the examiner refuses the image: bad file found (exit code 3)',
  })
  await until('nothing of it is left', () => readdirSync(gateway.imageDir).length === 2)
  expect(files(gateway)).toEqual([`${good.id}.meta`, `${good.id}.squashfs`])
  expect(namesIn(join(gateway.server.datadir, '.shifter/expand'))).toEqual([])
})

test('an expired image can be pulled again', async () => {
  const { registry, gateway } = await startPulling()
  await registry.put('team/demo:1')
  const { id } = await pull(gateway, 'team/demo:1')
  await ask(gateway, 'GET', pathOf('expire', SYSTEM, 'team/demo:1'), { as: ROOT })
  expect(await pull(gateway, 'team/demo:1')).toMatchObject({ status: 'READY', id })
  expect(files(gateway)).toEqual([`${id}.meta`, `${id}.squashfs`])
})

test('layers are kept for other images and systems, up to cacheSize', async () => {
  const registry = await new ScriptedRegistry().start()
  const tags = ['team/a:1', 'team/b:1', 'team/c:1']
  // Layers that compression makes no smaller.
  const files = (tag: string) => ({ noise: `${tag}${randomBytes(100_000).toString('base64')}` })
  for (const tag of tags) await registry.put(tag, { files: files(tag) })
  const folder = temporaryFolder()
  const cache = join(folder, 'blobs')
  const gateway = await startShifter({
    imagemanager: { ...registry.locations, CacheDirectory: folder },
    settings: { cacheSize: 250_000 },
  })
  const cached = () => namesIn(cache).reduce((sum, name) => sum + statSync(join(cache, name)).size, 0)
  for (const tag of tags) {
    expect((await pull(gateway, tag)).status).toBe('READY')
    await until('the cache has its size', () => cached() <= 250_000)
  }
  expect(cached()).toBeGreaterThan(100_000)
  // Made again, of the layer that is still here.
  const layers = () => registry.requests.filter(({ path }) => path.startsWith('team/c/blobs/')).length
  const before = layers()
  await ask(gateway, 'GET', pathOf('expire', SYSTEM, 'team/c:1'), { as: ROOT })
  expect((await pull(gateway, 'team/c:1')).status).toBe('READY')
  expect(layers() - before).toBe(1)
})

test('a private image needs a user whom it is for', async () => {
  const { registry, gateway } = await startPulling()
  await registry.put('secret/demo:1', { login: LOGIN })
  const record = await pull(gateway, 'secret/demo:1', { as: { name: 'ghost', logins: { here: LOGIN } } })
  expect(record.status).toBe('FAILURE')
  expect(record.status_message).toContain('the credential names no user id')
  expect(files(gateway)).toEqual([])
})

test('lists stay out of what the runtime reads where the operator wants that', async () => {
  const registry = await new ScriptedRegistry().start()
  const { id } = await registry.put('secret/demo:1', { login: LOGIN })
  const env = { DISABLE_ACL_METADATA: '1' }
  const hidden = [['FORMAT', 'squashfs']]
  const written = [...hidden, ['USERACL', `${ALICE.uid}`], ['GROUPACL', '']]
  for (const [options, lines] of [
    [{ env }, hidden],
    [{ settings: { writeAcl: false } }, hidden],
    [{ env, settings: { writeAcl: true } }, written],
  ] as const) {
    const gateway = await startShifter({ imagemanager: registry.locations, ...options })
    expect((await pull(gateway, 'secret/demo:1', { as: WITH_LOGIN })).userACL).toEqual([ALICE.uid])
    expect(readMeta(join(gateway.imageDir, `${id}.meta`)).lines).toEqual(lines)
  }
})

needsAll({ openssl: 'openssl', sqfstar: 'squashfs-tools' })(
  'a registry whose certificate is in its Location is trusted, and no other',
  async () => {
    const { cert, key } = selfSigned()
    const tls = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
    const registry = await new ScriptedRegistry().start(tls)
    await registry.put('team/demo:1')
    const { here } = registry.locations.Locations
    const other = { ...here, url: here.url.replace('127.0.0.1', 'localhost') }
    const Locations = { here: { ...here, sslcacert: cert }, other }
    const gateway = await startShifter({ imagemanager: { ...registry.locations, Locations } })
    expect((await pull(gateway, 'team/demo:1')).status).toBe('READY')
    const failed = await pull(gateway, 'other/team/demo:1')
    expect(failed.status).toBe('FAILURE')
    expect(failed.status_message).toMatch(/certificate/)
  },
)
