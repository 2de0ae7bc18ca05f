import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFailed, onTestFinished, test } from 'vitest'
import { bytes, call, sha1, uuid } from '../support/api.ts'
import { askImport, finished, importFrom, jobOf, startImporter } from '../support/imports.ts'
import { LONG_TEST_TIMEOUT } from '../support/patience.ts'
import { type TestServer, temporaryFolder } from '../support/server.ts'
import { imgapi, remoteManifest, sendContent, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

/** Imports whose server ends in the middle of them, and imports of the same image at the same time. */

const config = { imports: { concurrency: 4, retries: 5, firstDelay: 20, longestDelay: 100 } }

async function hasContent(server: TestServer, id: string, content: Uint8Array) {
  const answer = await fetch(`${server.url}/images/${id}/file`)
  expect(sha1(new Uint8Array(await answer.arrayBuffer()))).toBe(sha1(content))
}

/** The record of a job that was running when its server was killed, as this version and the one before wrote it. */
function writeJob(folder: string, source: string, image: string, images: string[], made: string[]): string {
  const jobs = join(folder, 'data', '.jobs')
  mkdirSync(jobs, { recursive: true })
  const job = uuid()
  const created_at = new Date(Date.now() - 60_000 + readdirSync(jobs).length).toISOString()
  const steps = images.map(id => ({ uuid: id, state: 'running', bytes_done: 0, bytes_expected: 1000 }))
  const record = {
    uuid: job,
    task: 'import-remote-image',
    image_uuid: image,
    ...{ source, secret_source: source, state: 'running', retries: 0 },
    ...{ created_at, started_at: created_at, steps, made, partials: [] },
  }
  writeFileSync(join(jobs, `${job}.json`), JSON.stringify(record))
  return job
}

test('what an earlier version has begun for one job, every job for it finishes, in whatever order they go on', async () => {
  const content = bytes(1000)
  const origin = remoteManifest(content)
  const children = [
    remoteManifest(content, { origin: origin.uuid }),
    remoteManifest(content, { origin: origin.uuid }),
  ]
  const source = await startSource(
    imgapi([origin, ...children], (request, response) => sendContent(content, request, response)),
  )
  const [first, second] = children.map(child => child.uuid) as [string, string]
  for (const maker of [0, 1, 2]) {
    const folder = temporaryFolder()
    const seed = await startImporter({ folder, config })
    const { files: _, ...manifest } = origin
    expect(
      (await call(seed, 'POST', `/images/${origin.uuid}?action=import`, { body: manifest })).status,
    ).toBe(200)
    await seed.stop()
    const made = (index: number) => (index === maker ? [origin.uuid] : [])
    const jobs = [
      writeJob(folder, source.url, origin.uuid, [origin.uuid], made(0)),
      writeJob(folder, source.url, first, [origin.uuid, first], made(1)),
      writeJob(folder, source.url, second, [origin.uuid, second], made(2)),
    ]
    const server = await startImporter({ folder, config })
    for (const job of jobs) expect(await finished(server, job)).toMatchObject({ execution: 'succeeded' })
    for (const id of [origin.uuid, first, second]) await hasContent(server, id, content)
    await server.stop()
  }
})

test(
  'jobs for an image and for two that are made from it all succeed, wherever kills hit them',
  async () => {
    const seed = Number(process.env.IMPORT_SEED ?? Date.now() % 1_000_000)
    onTestFailed(() => console.error(`to see this again: IMPORT_SEED=${seed}`))
    let random = seed
    const upTo = (end: number) => {
      random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((random / 2 ** 32) * end)
    }
    const content = bytes(3000)
    for (let round = 0; round < 3; round++) {
      const base = remoteManifest(content)
      const origin = remoteManifest(content, { origin: base.uuid })
      const children = [1, 2].map(() => remoteManifest(content, { origin: origin.uuid }))
      const wanted = [...children, origin, base]
      const source = await startSource(
        imgapi(wanted, (request, response) => sendContent(content, request, response)),
      )
      let server = await startImporter({ config, keep: true })
      const { folder } = server
      onTestFinished(() => server.kill())
      const asked = await Promise.all(wanted.map(({ uuid: id }) => askImport(server, id, source.url)))
      // Two kills at most: a job that was interrupted more often is given up.
      for (let kill = 0; kill < 2; kill++) {
        const saves = upTo(40)
        const entries = () => readdirSync(server.datadir).length + source.requests.length
        const before = entries()
        const end = performance.now() + 300
        await until('the moment of the kill', () => entries() - before >= saves || performance.now() > end)
        await server.kill()
        server = await startImporter({ folder, config, keep: true })
      }
      for (const [index, { body, status }] of asked.entries()) {
        // Here already when it was asked for.
        if (status === 409) expect(body.code).toBe('ImageUuidAlreadyExists')
        else expect(await finished(server, body.job_uuid)).toMatchObject({ execution: 'succeeded' })
        await hasContent(server, wanted[index]!.uuid, content)
      }
      expect((await call(server, 'GET', '/images?state=unactivated')).body).toEqual([])
      await server.kill()
    }
  },
  LONG_TEST_TIMEOUT,
)

test('an image that a client creates while an import of it is under way belongs to the client, and stays', async () => {
  const content = bytes(1000)
  const manifest = remoteManifest(content)
  let go = () => {}
  const source = await startSource(
    imgapi([manifest], (request, response) => {
      go = () => sendContent(content, request, response)
    }),
  )
  const server = await startImporter()
  const { body } = await askImport(server, manifest.uuid, source.url)
  await until('the file is asked for', () => source.requests.some(({ path }) => path.endsWith('/file')))
  const { files: _, ...own } = { ...manifest, description: 'mine' }
  expect((await call(server, 'POST', `/images/${own.uuid}?action=import`, { body: own })).status).toBe(200)
  go()
  expect(await finished(server, body.job_uuid)).toMatchObject({
    execution: 'failed',
    error: { code: 'ImageUuidAlreadyExists' },
  })
  const here = await call(server, 'GET', `/images/${own.uuid}`)
  expect(here).toMatchObject({ status: 200, body: { state: 'unactivated', description: 'mine', files: [] } })
})

test('a job that is canceled leaves the origin to another job that needs it', async () => {
  const content = bytes(400_000)
  const origin = remoteManifest(content)
  const children = [1, 2].map(() => remoteManifest(content, { origin: origin.uuid }))
  let isHeld = true
  const source = await startSource(
    imgapi([origin, ...children], (request, response) => {
      if (!isHeld) return sendContent(content, request, response)
      response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 300_000))
    }),
  )
  const server = await startImporter({ config: { allowPrivateSources: true, ...config } })
  const jobs: string[] = []
  for (const child of children) {
    jobs.push((await askImport(server, child.uuid, source.url)).body.job_uuid)
    await until('it runs', async () => (await jobOf(server, jobs[0]!)).bytes_done > 0)
  }
  isHeld = false
  await call(server, 'DELETE', `/jobs/${jobs[0]}`)
  expect(await finished(server, jobs[1]!)).toMatchObject({ execution: 'succeeded' })
  await hasContent(server, origin.uuid, content)
})

const partialSize = ({ datadir }: TestServer) =>
  readdirSync(join(datadir, '.jobs'))
    .filter(name => name.endsWith('.partial'))
    .reduce((total, name) => total + statSync(join(datadir, '.jobs', name)).size, 0)

/** A source of one image whose file never ends before `open` is called. */
async function startHeldSource(content: Uint8Array) {
  const manifest = remoteManifest(content)
  let isHeld = true
  const source = await startSource(
    imgapi([manifest], (request, response) => {
      if (!isHeld) return sendContent(content, request, response)
      response
        .writeHead(200, { 'content-length': content.length })
        .write(content.subarray(0, content.length / 2))
    }),
  )
  const open = () => {
    isHeld = false
  }
  return { source, manifest, open }
}

test('a job is taken up twice after kills; a third kill fails it, and asked again it goes on from what it has', async () => {
  const content = bytes(6_000_000)
  const { source, manifest, open } = await startHeldSource(content)
  let server = await startImporter({ keep: true })
  const { folder } = server
  onTestFinished(() => server.kill())
  const job: string = (await askImport(server, manifest.uuid, source.url)).body.job_uuid
  const files = () => source.requests.filter(({ path }) => path.endsWith('/file')).length
  for (const interruptions of [0, 1, 2]) {
    await until('the file is asked for', () => files() > interruptions)
    await until('a part of it is on disk', () => partialSize(server) > 0)
    expect(await jobOf(server, job)).toMatchObject({ execution: 'running', interruptions })
    await server.kill()
    server = await startImporter({ folder, keep: true })
  }
  const asksBefore = source.requests.length
  expect(await finished(server, job)).toMatchObject({
    execution: 'failed',
    error: { message: expect.stringContaining('the server ended 3 times in the middle of this import') },
  })
  expect(source.requests).toHaveLength(asksBefore)
  expect((await call(server, 'GET', `/images/${manifest.uuid}`)).status).toBe(404)
  open()
  expect(await importFrom(server, manifest.uuid, source.url)).toMatchObject({
    execution: 'succeeded',
    interruptions: 0,
  })
  expect(source.requests.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-$/)
  await hasContent(server, manifest.uuid, content)
})

test('a stop on request is no interruption: a job goes on after any number of them', async () => {
  const content = bytes(100_000)
  const { source, manifest, open } = await startHeldSource(content)
  let server = await startImporter({ keep: true })
  const { folder } = server
  onTestFinished(() => server.kill())
  const job: string = (await askImport(server, manifest.uuid, source.url)).body.job_uuid
  for (let stop = 0; stop < 4; stop++) {
    await until('it runs', async () => (await jobOf(server, job)).execution === 'running')
    expect(await server.stop()).toBe(0)
    server = await startImporter({ folder, keep: true })
  }
  open()
  // What was held stays so; the connections of the last server do not.
  await server.stop()
  server = await startImporter({ folder, keep: true })
  expect(await finished(server, job)).toMatchObject({ execution: 'succeeded', interruptions: 0 })
})

test('a run of a mirror that ends with the server three times is not begun by the next start', async () => {
  const source = await startSource((_, response) => {
    // Never more than the beginning of the list.
    response.writeHead(200, { 'content-type': 'application/json' }).write('[')
  })
  const settings = { mirrors: [{ source: source.url, interval: 3600 }] }
  let server = await startImporter({ config: settings, keep: true })
  const { folder } = server
  onTestFinished(() => server.kill())
  const mirror = async () => (await call(server, 'GET', '/mirrors')).body[0]
  let asked = 0
  for (let kill = 0; kill < 3; kill++) {
    await until('the source is asked', () => source.requests.length > asked)
    await server.kill()
    asked = source.requests.length
    server = await startImporter({ config: settings, folder, keep: true })
  }
  expect(await mirror()).toMatchObject({
    state: 'idle',
    last_error: expect.stringContaining('the server ended 3 times in the middle of this run'),
  })
  const next = Date.parse((await mirror()).next_run)
  expect(next).toBeGreaterThan(Date.now() + 1_800_000)
})
