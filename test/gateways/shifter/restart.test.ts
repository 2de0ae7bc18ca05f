import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { namesIn } from '../../support/folders.ts'
import { Gate } from '../../support/program-gate.ts'
import { needsAll } from '../../support/programs.ts'
import { temporaryFolder } from '../../support/server.ts'
import {
  ALICE,
  ask,
  BOB,
  expectOnly,
  importFile,
  lookup,
  pathOf,
  ROOT,
  readMeta,
  type ShifterServer,
  SYSTEM,
  squashfs,
  startShifter,
} from '../../support/shifter.ts'
import { remotePlatform, startSshd } from '../../support/sshd.ts'
import { until } from '../../support/until.ts'

/** The server is killed in the middle of its work: the next one finishes or undoes it. */

const test = needsAll({ sshd: 'openssh-server', ssh: 'openssh-client', mksquashfs: 'squashfs-tools' })

/** A gateway for one system behind sshd, which can be started again where it was. */
async function remoteSystem() {
  const sshd = await startSshd()
  const [folder, imageDir] = [temporaryFolder(), join(temporaryFolder(), 'images')]
  const platform = remotePlatform(sshd, imageDir)
  const start = (env: Record<string, string> = {}) =>
    startShifter({ imagemanager: { Platforms: { [SYSTEM]: platform } }, folder, env })
  return { imageDir, start }
}

const queueOf = async (gateway: ShifterServer) =>
  (await ask(gateway, 'GET', `/api/queue/${SYSTEM}/`, { as: ROOT })).body.list

async function isLookedUp(gateway: ShifterServer, tag: string, as = ALICE) {
  const find = () => lookup(gateway, tag, { as, type: 'custom' })
  await until(`${tag} is there`, async () => (await find()).status === 200)
  return (await find()).body
}

const startImport = (gateway: ShifterServer, tag: string, filepath: string, extra = {}) =>
  ask(gateway, 'POST', pathOf('doimport', SYSTEM, tag, 'custom'), {
    body: { filepath, format: 'squashfs', ...extra },
  })

const MOMENTS = [
  ['HASHING', 'ssh', '*sha256sum*'],
  ['TRANSFER', 'scp', '*.meta*'],
  ['TRANSFER', 'ssh', '*mv*.squashfs*'],
] as const

for (const [state, program, pattern] of MOMENTS) {
  test(`killed in state ${state}, at ${program} ${pattern}, an import is done again`, async () => {
    const { imageDir, start } = await remoteSystem()
    const gate = new Gate(program, pattern)
    const first = await start(gate.env)
    await startImport(first, 'tool:1', await squashfs(), { allowed_uids: '5001' })
    await gate.someoneWaits()
    expect(await queueOf(first)).toEqual([{ status: state, image: 'tool:1' }])
    await first.server.kill()
    gate.open()

    const second = await start()
    const image = await isLookedUp(second, 'tool:1')
    expect(image.userACL).toEqual([5001])
    expect((await lookup(second, 'tool:1', { as: BOB, type: 'custom' })).status).toBe(404)
    await until('all is quiet', async () => (await queueOf(second)).length === 0)
    await expectOnly(second, imageDir, [image.id])
    expect(readMeta(join(imageDir, `${image.id}.meta`))).toMatchObject({ USERACL: '5001' })
  })
}

test('an expiry goes on', async () => {
  const { imageDir, start } = await remoteSystem()
  const gate = new Gate('ssh', '*rm*-f*')
  gate.open()
  const first = await start(gate.env)
  const image = await importFile(first, 'tool:1', await squashfs())
  gate.close()
  await ask(first, 'GET', pathOf('expire', SYSTEM, 'tool:1', 'custom'), { as: ROOT })
  await gate.someoneWaits()
  expect((await lookup(first, 'tool:1', { type: 'custom' })).status).toBe(404)
  await first.server.kill()
  expect(namesIn(imageDir)).toContain(`${image.id}.squashfs`)

  const second = await start()
  await until('the files are gone', () => readdirSync(imageDir).length === 0)
  expect((await lookup(second, 'tool:1', { type: 'custom' })).status).toBe(404)
})

test('a stop is no failure: what runs goes on at the next start', async () => {
  const { imageDir, start } = await remoteSystem()
  const gate = new Gate('scp')
  const first = await start(gate.env)
  await startImport(first, 'tool:1', await squashfs())
  await gate.someoneWaits()
  expect(await first.server.stop()).toBe(0)
  gate.open()

  const second = await start()
  const image = await isLookedUp(second, 'tool:1')
  await expectOnly(second, imageDir, [image.id])
})

test('images, their lists and the time they were used survive a kill', async () => {
  const { start } = await remoteSystem()
  const first = await start()
  const image = await importFile(first, 'tool:1', await squashfs(), { body: { allowed_gids: '6001' } })
  await lookup(first, 'tool:1', { type: 'custom' })
  await first.server.kill()
  const second = await start()
  expect(await isLookedUp(second, 'tool:1')).toEqual(image)
  expect((await lookup(second, 'tool:1', { as: BOB, type: 'custom' })).status).toBe(404)
  const metrics = await ask(second, 'GET', `/api/metrics/${SYSTEM}/`, { as: ROOT })
  expect(metrics.body.length).toBeGreaterThan(0)
})
