import { join } from 'node:path'
import { expect } from 'vitest'
import { namesIn } from '../../support/folders.ts'
import { Gate } from '../../support/program-gate.ts'
import { needsAll } from '../../support/programs.ts'
import { LOGIN, startPulling, WITH_LOGIN } from '../../support/pulling.ts'
import { ScriptedRegistry } from '../../support/scripted-registry.ts'
import { temporaryFolder } from '../../support/server.ts'
import {
  ALICE,
  ask,
  BOB,
  expectOnly,
  lookup,
  postPull,
  pull,
  ROOT,
  readMeta,
  type ShifterServer,
  SYSTEM,
  startShifter,
  type User,
} from '../../support/shifter.ts'
import { remotePlatform, startSshd } from '../../support/sshd.ts'
import { until } from '../../support/until.ts'

/** Registries that die and servers that are killed in the middle of a pull. */

const test = needsAll({
  sshd: 'openssh-server',
  ssh: 'openssh-client',
  sqfstar: 'squashfs-tools',
  unsquashfs: 'squashfs-tools',
})

/** What no compression makes small. */
const NOISE = Array.from({ length: 20_000 }, (_, index) => ((index * 2654435761) >>> 0).toString(36)).join('')

const statusOf = async (gateway: ShifterServer, tag: string) => {
  const { body } = await ask(gateway, 'GET', `/api/queue/${SYSTEM}/`, { as: ROOT })
  return body.list.find(({ image }: { image: string }) => image === tag)?.status
}

const isReady = (gateway: ShifterServer, tag: string, as: User = ALICE) =>
  until(`${tag} is ready`, async () => (await lookup(gateway, tag, { as })).status === 200)

/** Half of every layer, and then nothing more. */
function dyingInLayers(registry: ScriptedRegistry, times: number) {
  let deaths = 0
  registry.intercept = (path, response, body) => {
    if (!path.includes('/blobs/') || !body || body.length < 10_000 || deaths >= times) return false
    deaths++
    response.writeHead(200, { 'content-length': body.length })
    response.write(body.subarray(0, body.length / 2), () => response.destroy())
    return true
  }
}

test('a registry that dies in the middle of a layer is a failure with a reason, and leaves nothing', async () => {
  const { registry, gateway } = await startPulling({ settings: { retryAfter: 1 } })
  const { id } = await registry.put('team/demo:1', { files: { noise: NOISE } })
  dyingInLayers(registry, Number.POSITIVE_INFINITY)
  const failed = await pull(gateway, 'team/demo:1')
  expect(failed.status).toBe('FAILURE')
  expect(failed.status_message).not.toBe('')
  await expectOnly(gateway, gateway.imageDir, [])
  registry.intercept = () => false
  await until(
    'it is tried again',
    async () => (await postPull(gateway, 'team/demo:1')).body.status === 'READY',
  )
  await expectOnly(gateway, gateway.imageDir, [id])
})

/** A gateway of one system behind sshd, with an examiner, that is killed and started again. */
async function fragileGateway(login?: string) {
  const registry = await new ScriptedRegistry().start()
  const { id } = await registry.put('team/demo:1', { files: { noise: NOISE }, ...(login && { login }) })
  const sshd = await startSshd()
  const [folder, imageDir] = [temporaryFolder(), join(temporaryFolder(), 'images')]
  const platform = remotePlatform(sshd, imageDir)
  const imagemanager = { ...registry.locations, Platforms: { [SYSTEM]: platform }, PullUpdateTimeout: 2 }
  const start = (env: Record<string, string> = {}, examiner?: string) =>
    startShifter({ imagemanager: { ...imagemanager, ...(examiner && { examiner }) }, folder, env })
  return { registry, id, imageDir, start }
}

/** Where a program is held when the server is killed; `examiner` is one that does nothing. */
const MOMENTS = [
  { state: 'CONVERSION', program: 'sqfstar' },
  { state: 'CONVERSION', program: 'sqfstar', examiner: 'true' },
  { state: 'EXAMINATION', program: 'true', examiner: 'true' },
  { state: 'TRANSFER', program: 'scp', pattern: '*.meta*' },
  { state: 'TRANSFER', program: 'scp', pattern: '*.squashfs*' },
  { state: 'TRANSFER', program: 'ssh', pattern: '*mv*.squashfs*' },
]

for (const { state, program, pattern, examiner } of MOMENTS) {
  const where = `${state}, at ${program} ${pattern ?? ''}${examiner ? ' with an examiner' : ''}`
  test(`killed in state ${where}, a pull is done again by itself`, async () => {
    const { id, imageDir, start } = await fragileGateway()
    const gate = new Gate(program, pattern)
    const first = await start(gate.env, examiner)
    await postPull(first, 'team/demo:1')
    await gate.someoneWaits()
    expect(await statusOf(first, 'team/demo:1')).toBe(state)
    await first.server.kill()
    gate.open()

    const second = await start()
    await isReady(second, 'team/demo:1')
    await expectOnly(second, imageDir, [id])
    expect(await statusOf(second, 'team/demo:1')).toBeUndefined()
  })
}

test('killed in state PULLING, a pull is done again by itself', async () => {
  const { registry, id, imageDir, start } = await fragileGateway()
  let asked = 0
  registry.intercept = path => path.includes('/blobs/') && ++asked > 0
  const first = await start()
  await postPull(first, 'team/demo:1')
  await until('the registry is asked', () => asked > 0)
  expect(await statusOf(first, 'team/demo:1')).toBe('PULLING')
  await first.server.kill()
  registry.intercept = () => false

  const second = await start()
  await isReady(second, 'team/demo:1')
  await expectOnly(second, imageDir, [id])
})

test('killed in a pull with a login, what is half-made goes and the next request begins it again', async () => {
  const { id, imageDir, start } = await fragileGateway(LOGIN)
  const gate = new Gate('scp', '*.squashfs*')
  const first = await start(gate.env)
  await postPull(first, 'team/demo:1', { as: WITH_LOGIN })
  await gate.someoneWaits()
  await first.server.kill()
  gate.open()
  expect(namesIn(imageDir)).toContain(`${id}.meta`)

  const second = await start()
  await expectOnly(second, imageDir, [])
  expect(await statusOf(second, 'team/demo:1')).toBeUndefined()
  const record = await pull(second, 'team/demo:1', { as: WITH_LOGIN })
  expect(record).toMatchObject({ status: 'READY', userACL: [ALICE.uid] })
  await expectOnly(second, imageDir, [id])
})

test('killed while its lists change, a private image keeps those that it had', async () => {
  const { id, imageDir, start } = await fragileGateway(LOGIN)
  const gate = new Gate('ssh', '*mv*.meta*', 'after')
  gate.open()
  const first = await start(gate.env)
  await pull(first, 'team/demo:1', { as: WITH_LOGIN, body: { allowed_uids: '5002' } })
  gate.close()
  await until('the change has begun', async () => {
    const { body } = await postPull(first, 'team/demo:1', { as: WITH_LOGIN, body: { allowed_uids: '9' } })
    return body.status !== 'READY'
  })
  await gate.someoneWaits()
  const meta = join(imageDir, `${id}.meta`)
  expect(readMeta(meta).USERACL).toBe(`9,${ALICE.uid}`)
  await first.server.kill()
  gate.open()

  const second = await start()
  expect((await lookup(second, 'team/demo:1', { as: BOB })).body.userACL).toEqual([5002, ALICE.uid])
  await expectOnly(second, imageDir, [id])
  await until('the lists are the old ones', () => readMeta(meta).USERACL === `5002,${ALICE.uid}`)
  expect((await lookup(second, 'team/demo:1', { as: { name: 'x', uid: 9, gid: 9 } })).status).toBe(404)
})
