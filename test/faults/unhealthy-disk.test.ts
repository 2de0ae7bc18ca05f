import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { bytes, call, create, manifest, publish, sha1, uuid } from '../support/api.ts'
import { namesIn } from '../support/folders.ts'
import { importFrom, startImporter } from '../support/imports.ts'
import { AUTH, startServer, type TestServer } from '../support/server.ts'
import { imgapi, remoteManifest, sendContent, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'
import { createShim, EIO, EMFILE, type Fault, KINDS, quickFolder, shimTest } from './shim.ts'

/** A disk that does not take writes for a while, or not all of them. */

/** A server, and faults of what is below a folder of its data directory. */
async function startFaulty(below = '', config: Record<string, unknown> = {}) {
  const folder = quickFolder()
  mkdirSync(join(folder, 'data', below), { recursive: true })
  const shim = createShim(join(folder, 'data', below))
  return { shim, server: await startImporter({ folder, config, env: shim.env }) }
}

const storageOf = async (server: TestServer) => (await call(server, 'GET', '/state')).body.storage
const logged = (server: TestServer, text: string) =>
  server
    .log()
    .filter(({ msg }) => msg.includes(text))
    .map(({ level }) => level)

const readState = (path: string) => existsSync(path) && JSON.parse(readFileSync(path, 'utf8')).state

const DEAD: Fault = { kinds: KINDS.sync | KINDS.write | KINDS.rename, errno: EIO, repeats: true }

shimTest(
  'while the disk takes no writes, everything can be read, and the server says what is wrong',
  async () => {
    const { shim, server } = await startFaulty()
    const content = bytes(4000)
    const image = await publish(server, content)
    expect(await storageOf(server)).toBe('ok')
    shim.arm(DEAD, 1)
    for (let time = 0; time < 3; time++) {
      const changes = [
        await call(server, 'POST', '/images', { body: manifest() }),
        await call(server, 'POST', `/images/${image.uuid}?action=disable`),
        await call(server, 'DELETE', `/images/${image.uuid}`),
      ]
      for (const answer of changes) {
        const message = expect.stringMatching(/the disk reports an error|could not be read from the disk yet/)
        expect(answer).toMatchObject({ status: 503, body: { code: 'StorageIsDown', message } })
      }
      expect((await call(server, 'GET', '/images')).body).toEqual([image])
      const file = await fetch(`${server.url}/images/${image.uuid}/file`)
      expect(sha1(new Uint8Array(await file.arrayBuffer()))).toBe(sha1(content))
    }
    expect(await storageOf(server)).toContain('the disk reports an error')
    shim.disarm()
    expect((await call(server, 'POST', `/images/${image.uuid}?action=disable`)).status).toBe(200)
    expect(await storageOf(server)).toBe('ok')
    // Once each, whatever the number of requests.
    expect(logged(server, 'does not take writes')).toEqual([50])
    await until('the log', () => logged(server, 'takes writes again').length > 0)
    expect(logged(server, 'takes writes again')).toEqual([30])
  },
)

shimTest('a storage that works again is found healthy although no client writes', async () => {
  const { shim, server } = await startFaulty()
  shim.arm(DEAD, 1)
  expect((await call(server, 'POST', '/images', { body: manifest() })).status).toBe(503)
  shim.disarm()
  await until('it is healthy', async () => (await storageOf(server)) === 'ok')
  expect(namesIn(join(server.datadir, '.tmp'))).toEqual([])
})

shimTest('a change that may have happened says so, and that it is safe to ask again', async () => {
  const { shim, server } = await startFaulty()
  const { uuid: id } = await create(server)
  shim.arm({ kinds: KINDS.sync, errno: EIO }, 1)
  const change = () => call(server, 'POST', `/images/${id}?action=update`, { body: { name: 'renamed' } })
  const answer = await change()
  shim.disarm()
  expect(answer.status).toBe(503)
  expect(answer.body.message).toContain('the change may have happened')
  expect(answer.body.message).toContain('safe to ask again')
  expect(await change()).toMatchObject({ status: 200, body: { name: 'renamed' } })
})

shimTest(
  'a re-upload for which no descriptor is left keeps the file before it, or the new one, whole',
  async () => {
    const { shim, server } = await startFaulty()
    const { uuid: id } = await create(server)
    const contents = [bytes(1000)]
    const upload = () =>
      call(server, 'PUT', `/images/${id}/file?compression=none`, { body: contents.at(-1)! })
    expect((await upload()).status).toBe(200)
    const expectWhole = async (where: TestServer, when: string) => {
      const { body } = await call(where, 'GET', `/images/${id}`)
      expect(contents.map(sha1)).toContain(body.files[0].sha1)
      const stored = await fetch(`${where.url}/images/${id}/file`, { headers: AUTH })
      expect(stored.status, when).toBe(200)
      expect(sha1(new Uint8Array(await stored.arrayBuffer())), when).toBe(body.files[0].sha1)
    }
    for (let nth = 1; nth <= 4; nth++) {
      contents.push(bytes(1000 + nth))
      shim.arm({ kinds: KINDS.open, errno: EMFILE }, nth)
      await upload()
      shim.disarm()
      await expectWhole(server, `open ${nth}`)
      const copy = join(quickFolder(), 'copy')
      cpSync(server.folder, copy, { recursive: true, filter: path => !path.includes('.lock') })
      await expectWhole(await startServer({ folder: copy }), `open ${nth}, after a restart`)
    }
  },
)

shimTest('an image may have the old UUID of one whose change of UUID could not be finished', async () => {
  const { shim, server } = await startFaulty()
  let moved = 0
  for (let nth = 1; ; nth++) {
    const { uuid: old } = await create(server)
    const id = uuid()
    shim.arm(DEAD, nth)
    const answer = await call(server, 'POST', `/images/${old}?action=update`, { body: { uuid: id } })
    const { hits } = shim.state()
    shim.disarm()
    expect([200, 503]).toContain(answer.status)
    if (hits === 0) break
    if ((await call(server, 'GET', `/images/${id}`)).status !== 200) continue
    moved++
    const body = manifest({ v: 2, uuid: old, name: 'other' })
    const imported = await call(server, 'POST', `/images/${old}?action=import`, { body })
    expect(imported.status, imported.text).toBe(200)
  }
  expect(moved).toBeGreaterThan(2)
  const before = (await call(server, 'GET', '/images?state=all')).body
  await server.kill()
  const again = await startServer({ folder: server.folder })
  expect((await call(again, 'GET', '/images?state=all')).body).toEqual(before)
})

shimTest(
  'a job goes on when one of its records cannot be written, and the record is written later',
  async () => {
    const { shim, server } = await startFaulty('.jobs')
    const content = bytes(2000)
    const manifests: ReturnType<typeof remoteManifest>[] = []
    const source = await startSource(
      imgapi(manifests, (request, response) => sendContent(content, request, response)),
    )
    const record = (job: string) => join(server.datadir, '.jobs', `${job}.json`)
    // The first is that of the request, which is refused.
    for (let nth = 2; ; nth++) {
      const image = remoteManifest(content)
      manifests.push(image)
      shim.arm({ kinds: KINDS.rename, errno: EIO }, nth)
      const job = await importFrom(server, image.uuid, source.url)
      const { hits } = shim.state()
      shim.disarm()
      expect(job, `record ${nth}`).toMatchObject({ execution: 'succeeded' })
      if (hits === 0) {
        expect(nth).toBeGreaterThan(6)
        break
      }
      const isRecorded = () => readState(record(job.uuid)) === 'succeeded'
      await until(`record ${nth} to be written`, isRecorded)
    }
  },
)

shimTest('a mirror run goes on when its record cannot be written at once', async () => {
  const content = bytes(2000)
  const image = remoteManifest(content)
  const source = await startSource((request, response) => {
    if (request.url?.startsWith('/images?')) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify([image]))
    } else imgapi([image], (asked, answer) => sendContent(content, asked, answer))(request, response)
  })
  const mirrors = [{ source: source.url, interval: 100_000 }]
  const { shim, server } = await startFaulty('.mirrors', { mirrors })
  shim.arm({ kinds: KINDS.rename | KINDS.sync, errno: EIO }, 1)
  const isHere = async () => (await call(server, 'GET', `/images/${image.uuid}`)).status === 200
  await until('the image', isHere)
  expect(shim.state().hits).toBe(1)
})

shimTest('a pair that cannot be moved aside as a whole stays in the drop folder until it can', async () => {
  const { shim, server } = await startFaulty('incoming')
  const folder = join(server.datadir, 'incoming')
  shim.arm({ kinds: KINDS.rename, errno: EIO }, 2)
  writeFileSync(join(folder, 'bad.zfs'), bytes(1000))
  const files = [{ sha1: sha1(bytes(10)), size: 1000, compression: 'none' }]
  writeFileSync(join(folder, 'bad.json'), JSON.stringify(manifest({ v: 2, uuid: uuid(), files })))
  await until('all is aside', () => namesIn(folder).join() === 'failed')
  expect(shim.state().hits).toBe(1)
  expect(namesIn(join(folder, 'failed'))).toEqual(['bad.json', 'bad.json.error', 'bad.zfs'])
})
