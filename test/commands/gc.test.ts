import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bytes, call, create, uuid as newUuid, publish } from '../support/api.ts'
import { namesIn, treeOf } from '../support/folders.ts'
import { runProgram } from '../support/program.ts'
import { startServer } from '../support/server.ts'

const DAY = 24 * 3600 * 1000

/** A server with an active image, a new unfinished one, two old ones of which one is an origin, and orphans. */
async function prepare() {
  const server = await startServer()
  const active = await publish(server, bytes(1000))
  const fresh = await create(server)
  const old = await create(server)
  const origin = await create(server)
  const child = await create(server, { origin: origin.uuid })
  const { datadir } = server
  for (const { uuid } of [old, origin]) {
    const then = new Date(Date.now() - 40 * DAY)
    utimesSync(join(datadir, uuid, 'manifest.json'), then, then)
  }
  const lost = newUuid()
  mkdirSync(join(datadir, lost))
  writeFileSync(join(datadir, lost, 'image.gz'), bytes(100))
  // Files of a user are not removed.
  writeFileSync(join(datadir, 'config.json'), '{}')
  writeFileSync(join(datadir, active.uuid, 'notes.txt'), bytes(50))
  mkdirSync(join(datadir, 'incoming'))
  writeFileSync(join(datadir, 'incoming', 'x.zfs'), bytes(10))
  const gc = (...flags: string[]) => runProgram('gc', '-c', server.configPath, ...flags)
  return { server, datadir, active, fresh, old, origin, child, lost, gc }
}

test('it lists orphans and images never activated, touches nothing, and works beside a running server', async () => {
  const { datadir, old, active, lost, gc } = await prepare()
  const before = treeOf(datadir)
  const { code, stdout } = await gc('--json')
  expect(code).toBe(0)
  const { garbage, bytes: total, deleted } = JSON.parse(stdout)
  expect(deleted).toBe(false)
  const found = garbage.map(({ path, kind }: { path: string; kind: string }) => `${kind} ${path}`).sort()
  expect(found).toEqual(
    [`orphan ${active.uuid}/notes.txt`, `orphan ${lost}`, `unactivated ${old.uuid}`].sort(),
  )
  expect(total).toBeGreaterThan(150)
  expect((await gc()).stdout).toContain('found 3 thing(s)')
  expect((await gc('--days', '50')).stdout).toContain('found 2 thing(s)')
  expect(treeOf(datadir)).toEqual(before)
})

test('with --delete it deletes them, and only with the server stopped', async () => {
  const { server, datadir, active, fresh, old, origin, child, lost, gc } = await prepare()
  const refused = await gc('--delete')
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(`process ${server.pid}`) })
  expect(namesIn(datadir)).toContain(lost)
  await server.stop()
  expect(await gc('--delete')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('deleted 3 thing(s)'),
  })
  const visible = namesIn(datadir).filter(name => !name.startsWith('.'))
  expect(visible).toEqual(
    ['config.json', 'incoming', ...[active, fresh, origin, child].map(({ uuid }) => uuid)].sort(),
  )
  expect(namesIn(join(datadir, '.tmp'))).toEqual([])
  expect(await gc('--delete')).toMatchObject({ code: 0, stdout: 'deleted 0 thing(s), 0 B\n' })
  const again = await startServer({ folder: server.folder })
  expect((await call(again, 'GET', `/images/${active.uuid}/file`)).status).toBe(200)
  expect((await call(again, 'GET', `/images/${old.uuid}`)).status).toBe(404)
})

test('an image whose manifest cannot be read is not garbage', async () => {
  const { server, datadir, active, gc } = await prepare()
  await server.stop()
  writeFileSync(join(datadir, active.uuid, 'manifest.json'), '{"v":')
  expect((await gc('--days', '0', '--json')).stdout).not.toContain(active.uuid)
  expect((await gc('--days', 'ten')).code).toBe(2)
})
