import { join } from 'node:path'
import { expect, test } from 'vitest'
import { addFile, bytes, call, create, manifest, uuid as newUuid, sha1 } from '../support/api.ts'
import { namesIn } from '../support/folders.ts'
import { runProgram } from '../support/program.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

const CLIENTS = 64

/** What one client does; resolves to the images that are there in the end, by what was acknowledged to it. */
async function work(server: TestServer, client: number): Promise<[uuid: string, sha1: string][]> {
  const kept: [string, string][] = []
  for (let round = 0; round < 3; round++) {
    const content = bytes(10_000 * (1 + ((client * 7 + round) % 40)))
    const { uuid } = await create(server, { name: `client-${client}-${round}` })
    await addFile(server, uuid, content)
    const activated = await call(server, 'POST', `/images/${uuid}?action=activate`)
    expect(activated.status).toBe(200)
    if ((client + round) % 3 === 0) {
      expect((await call(server, 'DELETE', `/images/${uuid}`)).status).toBe(204)
    } else kept.push([uuid, sha1(content)])
  }
  return kept
}

async function listed(server: TestServer): Promise<[string, string][]> {
  const { body } = await call(server, 'GET', '/images?state=all')
  return body.map(({ uuid, files }: { uuid: string; files: { sha1: string }[] }) => [uuid, files[0]?.sha1])
}

test('with 64 clients at work, lists agree with what each was told and check finds nothing', async () => {
  const server = await startServer()
  const clients = Promise.all(Array.from({ length: CLIENTS }, (_, client) => work(server, client)))
  // A check that comes in the middle of it sees no problem where there is none.
  const [during, worked] = await Promise.all([runProgram('check', '-c', server.configPath), clients])
  expect(during).toMatchObject({ code: 0, stdout: expect.stringContaining('no problem found') })
  const kept = worked.flat().sort()
  expect((await listed(server)).sort()).toEqual(kept)
  // A checksum that is computed in the background may be being written.
  await until('.tmp is empty', () => namesIn(join(server.datadir, '.tmp')).length === 0)
  expect((await runProgram('check', '-c', server.configPath)).code).toBe(0)
  await server.kill()
  const again = await startServer({ folder: server.folder })
  expect((await listed(again)).sort()).toEqual(kept)
})

test('of many who want the same thing at once one gets it and the others are told why not', async () => {
  const server = await startServer()
  const uuid = newUuid()
  const all = async (path: string, method = 'POST', body?: unknown) => {
    const one = () => call(server, method, path, { body })
    const answers = await Promise.all(Array.from({ length: 16 }, one))
    return answers.map(({ status, body: { code } = {} as { code?: string } }) => code ?? status).sort()
  }
  const image = manifest({ v: 2, uuid })
  expect(await all(`/images/${uuid}?action=import`, 'POST', image)).toEqual([
    200,
    ...Array(15).fill('ImageUuidAlreadyExists'),
  ])
  await addFile(server, uuid, bytes(1000))
  expect(await all(`/images/${uuid}?action=activate`)).toEqual([
    200,
    ...Array(15).fill('ImageAlreadyActivated'),
  ])
  expect(await all(`/images/${uuid}`, 'DELETE')).toEqual([204, ...Array(15).fill('ResourceNotFound')])
})

test('an origin is never deleted under an image that is being made from it', async () => {
  const server = await startServer()
  for (let round = 0; round < 10; round++) {
    const origin = await create(server)
    const child = { name: 'child', version: '1', type: 'zone-dataset', os: 'smartos', origin: origin.uuid }
    const [made, deleted] = await Promise.all([
      call(server, 'POST', '/images', { body: child }),
      call(server, 'DELETE', `/images/${origin.uuid}`),
    ])
    expect([made.status, deleted.status].sort()).toEqual(made.status === 200 ? [200, 422] : [204, 422])
  }
  expect((await runProgram('check', '-c', server.configPath)).code).toBe(0)
})

test('a change that is acknowledged during a change of UUID is not lost', async () => {
  const server = await startServer()
  for (let round = 0; round < 20; round++) {
    const { uuid } = await create(server)
    await addFile(server, uuid, bytes(100))
    const moved = newUuid()
    const [move, activate] = await Promise.all([
      call(server, 'POST', `/images/${uuid}?action=update`, { body: { uuid: moved } }),
      call(server, 'POST', `/images/${uuid}?action=activate`),
    ])
    const there = move.status === 200 ? moved : uuid
    const { body } = await call(server, 'GET', `/images/${there}`)
    expect(body.state).toBe(activate.status === 200 ? 'active' : 'unactivated')
    expect((await call(server, 'GET', `/images/${there === uuid ? moved : uuid}`)).status).toBe(404)
  }
})
