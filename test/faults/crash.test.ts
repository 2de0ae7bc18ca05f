import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFailed, onTestFinished, test } from 'vitest'
import { call, create, publish } from '../support/api.ts'
import { namesIn } from '../support/folders.ts'
import { LONG_TEST_TIMEOUT } from '../support/patience.ts'
import { runProgram } from '../support/program.ts'
import { startServer, temporaryFolder } from '../support/server.ts'
import { Workload } from './workload.ts'

const ROUNDS = 32

test('a kill at any moment loses nothing that was acknowledged and shows nothing half-made', {
  timeout: LONG_TEST_TIMEOUT,
}, async () => {
  const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000)
  onTestFailed(() => console.error(`to see this again: CRASH_SEED=${seed}`))
  const folder = temporaryFolder()
  const workload = new Workload(seed)
  for (let round = 0; round < ROUNDS; round++) {
    const server = await startServer({ folder, keep: true })
    onTestFinished(() => server.kill())
    await workload.verify(server, `seed ${seed}, round ${round}`)
    const working = workload.run(server)
    await Promise.race([working, workload.untilSomeAnswers()])
    await server.kill()
    await working
  }
  const server = await startServer({ folder })
  await workload.verify(server, `seed ${seed}, at the end`)
  expect(workload.acknowledged).toBeGreaterThan(ROUNDS)
  await server.stop()
  expect(namesIn(join(server.datadir, '.tmp'))).toEqual([])
  const checked = await runProgram('check', '-c', server.configPath)
  expect(checked).toMatchObject({ code: 0, stdout: expect.stringContaining('no problem found') })
})

/** A change of UUID as a kill leaves it: the new folder is in place, the old one is there still. */
test('a change of UUID that a kill interrupted is finished at the next start', async () => {
  const server = await startServer()
  const old = await create(server)
  const manifest = JSON.parse((await call(server, 'GET', `/images/${old.uuid}`)).text)
  await server.stop()
  const uuid = '11111111-2222-4333-8444-555555555555'
  mkdirSync(join(server.datadir, uuid))
  const moved = { ...manifest, uuid, _imgapi: { files: [], replaces: old.uuid } }
  writeFileSync(join(server.datadir, uuid, 'manifest.json'), JSON.stringify(moved))
  const again = await startServer({ folder: server.folder })
  expect((await call(again, 'GET', `/images/${old.uuid}`)).status).toBe(404)
  expect((await call(again, 'GET', `/images/${uuid}`)).status).toBe(200)
  // The remark is gone, so another image may have the old UUID and keep it.
  const imported = await call(again, 'POST', `/images/${old.uuid}?action=import`, { body: manifest })
  expect(imported.status).toBe(200)
  await again.kill()
  const third = await startServer({ folder: server.folder })
  expect((await call(third, 'GET', `/images/${old.uuid}`)).status).toBe(200)
})

test('the lock of a killed server does not count: the next server starts on its first attempt', async () => {
  const first = await startServer()
  const image = await publish(first)
  await first.kill()
  // A server that finds a lock that counts does not wait for it; it ends, as the next test shows.
  const second = await startServer({ folder: first.folder })
  expect((await call(second, 'GET', `/images/${image.uuid}`)).status).toBe(200)
})

test('a second server on a datadir does not start, says whose it is and leaves it in peace', async () => {
  const server = await startServer()
  const { uuid } = await publish(server)
  const second = await runProgram('-s', '-c', server.configPath)
  expect(second.code).toBe(1)
  expect(second.stderr).toContain(`process ${server.pid}`)
  expect(second.stderr).toContain(server.datadir)
  expect((await call(server, 'GET', `/images/${uuid}/file`)).status).toBe(200)
  expect((await runProgram('-s', '-c', server.configPath)).code).toBe(1)
})

test('a pid that is used again does not hold a lock', async () => {
  const folder = temporaryFolder()
  const lock = join(folder, 'data', '.lock')
  mkdirSync(lock, { recursive: true })
  writeFileSync(join(lock, `${process.pid}-abcdef`), '')
  // A socket that was bound by a process that is gone: its file is there, and no process listens.
  const socket = join(lock, `${process.ppid}-012345`)
  const script = `require('net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', script])
  expect(namesIn(lock)).toHaveLength(2)
  const server = await startServer({ folder })
  expect(namesIn(lock)).toHaveLength(1)
  expect(namesIn(lock)[0]).toMatch(new RegExp(`^${server.pid}-`))
})

test('a holder that listens keeps others out even if nothing else is known of it', async () => {
  const folder = temporaryFolder()
  const lock = join(folder, 'data', '.lock')
  mkdirSync(lock, { recursive: true })
  const holder = createServer()
  await new Promise<void>(resolve => holder.listen(join(lock, '4242-abcdef'), () => resolve()))
  await expect(startServer({ folder })).rejects.toThrow('process 4242')
  await new Promise(resolve => holder.close(resolve))
  await startServer({ folder })
})

test('of two servers that start in the same instant exactly one runs', async () => {
  for (let round = 0; round < 3; round++) {
    const folder = temporaryFolder()
    const results = await Promise.allSettled([1, 2, 3].map(() => startServer({ folder })))
    const running = results.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
    expect(running).toHaveLength(1)
    for (const result of results) {
      if (result.status === 'rejected') expect(String(result.reason)).toContain('is in use by another imgapi')
    }
    await running[0]!.kill()
  }
})

test('a data directory may be deep and its name may be in any language', async () => {
  // The second one has few characters and many bytes.
  for (const datadir of [join('a-very-deep-folder-'.repeat(10), 'and-deeper-still'), '镜像'.repeat(15)]) {
    const server = await startServer({ config: { datadir } })
    const { uuid } = await publish(server)
    expect(namesIn(server.datadir)).toContain(uuid)
    const second = await runProgram('-s', '-c', server.configPath)
    expect(second.stderr).toContain(`process ${server.pid}`)
    await server.kill()
    const again = await startServer({ folder: server.folder, config: { datadir } })
    expect((await call(again, 'GET', `/images/${uuid}/file`)).status).toBe(200)
    rmSync(join(server.folder, datadir), { recursive: true })
  }
})
