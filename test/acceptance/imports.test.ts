import { readdirSync, statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { addFile, bytes, call, create, publish, sha1 } from '../support/api.ts'
import { askImport, finished, importFrom, jobOf, startImporter } from '../support/imports.ts'
import { startServer } from '../support/server.ts'
import { imgapi, remoteManifest, sendContent, sendPart, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

test('an image is imported with its two origins, byte for byte, with uuid and published_at', async () => {
  const a = await startServer()
  const b = await startImporter()
  const contents = [bytes(3_000_000), bytes(2_000_000), bytes(1_500_000)]
  const base = await publish(a, contents[0])
  const middle = await publish(a, contents[1], { origin: base.uuid })
  const top = await publish(a, contents[2], { origin: middle.uuid })

  const asked = await askImport(b, top.uuid, a.url)
  expect(asked.status).toBe(200)
  expect(asked.headers.get('workflow-api')).toBe(b.url)
  expect(asked.body.image_uuid).toBe(top.uuid)
  const job = await finished(b, asked.body.job_uuid)
  expect(job).toMatchObject({ execution: 'succeeded', bytes_done: 6_500_000, bytes_expected: 6_500_000 })
  expect(job.chain_results).toHaveLength(3)

  for (const [index, image] of [base, middle, top].entries()) {
    const { body } = await call(b, 'GET', `/images/${image.uuid}`)
    expect(body).toEqual(image)
    const response = await fetch(`${b.url}/images/${image.uuid}/file`)
    expect(sha1(new Uint8Array(await response.arrayBuffer()))).toBe(sha1(contents[index]!))
  }
})

test('each manifest of a chain is fetched once', async () => {
  const content = bytes(1000)
  const origin = remoteManifest(content)
  const child = remoteManifest(content, { origin: origin.uuid })
  const source = await startSource(
    imgapi([origin, child], (request, response) => sendContent(content, request, response)),
  )
  const server = await startImporter()
  expect(await importFrom(server, child.uuid, source.url)).toMatchObject({ execution: 'succeeded' })
  const paths = source.requests.map(({ path }) => path).filter(path => !path.includes('/file'))
  expect(paths).toEqual([`/images/${child.uuid}`, `/images/${origin.uuid}`])
})

test('an image with two origins comes whole although its source is killed in the middle and comes back', async () => {
  const a = await startServer({ keep: true })
  const content = bytes(8_000_000)
  const base = await publish(a, bytes(100_000))
  const middle = await publish(a, content, { origin: base.uuid })
  const image = await publish(a, bytes(200_000), { origin: middle.uuid })
  // Between the two, so that the source dies when half of the second file is through.
  let passed = 0
  const proxy = await startSource(async (request, response) => {
    const headers = request.headers.range ? { range: request.headers.range } : {}
    const answer = await fetch(a.url + request.url, { headers }).catch(() => undefined)
    if (!answer) return response.destroy()
    const length = answer.headers.get('content-length')
    response.writeHead(answer.status, length ? { 'content-length': length } : {})
    const part = Buffer.from(await answer.arrayBuffer())
    const isCut = request.url?.endsWith('/file') && passed++ === 1
    if (isCut) response.write(part.subarray(0, 4_000_000), () => void a.kill().then(() => response.destroy()))
    else response.end(part)
  })
  const b = await startImporter({
    config: { imports: { retries: 100, firstDelay: 50, longestDelay: 100, concurrency: 1 } },
  })
  const asked = await askImport(b, image.uuid, proxy.url)
  await until(
    'the job has met the dead source',
    async () => (await jobOf(b, asked.body.job_uuid)).retries > 0,
  )
  await startServer({ folder: a.folder, config: { port: a.port } })
  const job = await finished(b, asked.body.job_uuid)
  expect(job).toMatchObject({ execution: 'succeeded', bytes_done: 8_300_000 })
  expect(job.retries).toBeGreaterThan(0)
  const ranges = proxy.requests.map(({ range }) => range).filter(range => range !== undefined)
  expect(ranges.at(-1)).toMatch(/^bytes=[1-9]\d*-$/)
  const got = await fetch(`${b.url}/images/${middle.uuid}/file`)
  expect(sha1(new Uint8Array(await got.arrayBuffer()))).toBe(sha1(content))
  for (const one of [base, middle, image]) {
    expect((await call(b, 'GET', `/images/${one.uuid}`)).body).toEqual(one)
  }
})

test('an import whose server is killed in the middle goes on from there at the next start', async () => {
  const content = bytes(6_000_000)
  const manifest = remoteManifest(content)
  let isHeld = true
  const source = await startSource(
    imgapi([manifest], (request, response) => {
      if (!isHeld) return sendContent(content, request, response)
      response.writeHead(200, { 'content-length': content.length })
      response.write(content.subarray(0, 5_000_000))
    }),
  )
  const b = await startImporter()
  const asked = await askImport(b, manifest.uuid, source.url)
  const job = asked.body.job_uuid
  const partials = () => readdirSync(`${b.datadir}/.jobs`).filter(name => name.endsWith('.partial'))
  const sizeOf = (name: string) => statSync(`${b.datadir}/.jobs/${name}`).size
  await until('a part of the file is on disk', () => partials().some(name => sizeOf(name) > 0))
  await b.kill()
  isHeld = false
  const again = await startImporter({ folder: b.folder })
  expect(await finished(again, job)).toMatchObject({ execution: 'succeeded', bytes_done: content.length })
  expect(source.requests.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-$/)
  const got = await fetch(`${again.url}/images/${manifest.uuid}/file`)
  expect(sha1(new Uint8Array(await got.arrayBuffer()))).toBe(sha1(content))
})

test('a stop does not wait for an import, which goes on at the next start', async () => {
  const content = bytes(2_000_000)
  const manifest = remoteManifest(content)
  let isHeld = true
  const source = await startSource(
    imgapi([manifest], (request, response) => {
      if (isHeld)
        response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 1000))
      else sendContent(content, request, response)
    }),
  )
  const b = await startImporter()
  const { body } = await askImport(b, manifest.uuid, source.url)
  await until('it runs', async () => (await jobOf(b, body.job_uuid)).bytes_done > 0)
  expect(await b.stop()).toBe(0)
  isHeld = false
  const again = await startImporter({ folder: b.folder })
  expect(await finished(again, body.job_uuid)).toMatchObject({ execution: 'succeeded' })
})

test('asked twice for the same image, the server answers with the job that is under way', async () => {
  const content = bytes(1000)
  const manifest = remoteManifest(content)
  const source = await startSource(imgapi([manifest], () => {}))
  const b = await startImporter()
  const first = await askImport(b, manifest.uuid, source.url)
  const second = await askImport(b, manifest.uuid, source.url)
  expect(second.body).toEqual(first.body)
  const jobs = await call(b, 'GET', `/images/${manifest.uuid}/jobs`)
  expect(jobs.body.map((job: { uuid: string }) => job.uuid)).toEqual([first.body.job_uuid])
})

test('a failed import can be asked for again and goes on from what it has', async () => {
  const content = bytes(4_000_000)
  const manifest = remoteManifest(content)
  let isBroken = true
  const source = await startSource(
    imgapi([manifest], (request, response) => {
      if (!isBroken) return sendContent(content, request, response)
      if (request.headers.range) return response.writeHead(403).end()
      sendPart(content, 3_000_000, request, response)
    }),
  )
  const b = await startImporter()
  expect(await importFrom(b, manifest.uuid, source.url)).toMatchObject({
    execution: 'failed',
    error: { code: 'Download', message: expect.stringContaining('403') },
  })
  expect((await call(b, 'GET', `/images/${manifest.uuid}`)).status).toBe(404)
  isBroken = false
  expect(await importFrom(b, manifest.uuid, source.url)).toMatchObject({ execution: 'succeeded' })
  expect(source.requests.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-$/)
})

test('a canceled import leaves neither an image nor bytes', async () => {
  const content = bytes(1_000_000)
  const manifest = remoteManifest(content)
  const source = await startSource(
    imgapi([manifest], (_, response) => {
      response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 500_000))
    }),
  )
  const b = await startImporter()
  const { body } = await askImport(b, manifest.uuid, source.url)
  await until('it runs', async () => (await jobOf(b, body.job_uuid)).bytes_done > 0)
  expect((await call(b, 'DELETE', `/jobs/${body.job_uuid}`, { anonymous: true })).status).toBe(401)
  const canceled = await call(b, 'DELETE', `/jobs/${body.job_uuid}`)
  expect(canceled.body).toMatchObject({ execution: 'canceled' })
  expect((await call(b, 'GET', `/images/${manifest.uuid}`)).status).toBe(404)
  expect(readdirSync(`${b.datadir}/.jobs`).filter(name => name.endsWith('.partial'))).toEqual([])
})

test('no more imports run at once than the config says', async () => {
  const content = bytes(1000)
  const manifests = [1, 2, 3, 4].map(() => remoteManifest(content))
  const held: (() => void)[] = []
  const source = await startSource(
    imgapi(manifests, (request, response) => {
      held.push(() => sendContent(content, request, response))
    }),
  )
  const b = await startImporter()
  const jobs = await Promise.all(manifests.map(({ uuid }) => askImport(b, uuid, source.url)))
  await until('two are running', () => held.length === 2)
  const states = await Promise.all(jobs.map(async ({ body }) => (await jobOf(b, body.job_uuid)).state))
  expect(states.sort()).toEqual(['queued', 'queued', 'running', 'running'])
  for (let served = 0; served < 4; served++) {
    await until('another asks', () => held.length > 0)
    held.shift()!()
  }
  for (const { body } of jobs) expect(await finished(b, body.job_uuid)).toMatchObject({ state: 'succeeded' })
})

test('jobs are listed for the authenticated; a job is shown to all clients that know its UUID', async () => {
  const content = bytes(1000)
  const manifest = remoteManifest(content)
  const source = await startSource(
    imgapi([manifest], (request, response) => sendContent(content, request, response)),
  )
  const b = await startImporter({ config: { publicUrl: 'https://images.example.com/' } })
  const asked = await askImport(b, manifest.uuid, source.url)
  expect(asked.headers.get('workflow-api')).toBe('https://images.example.com')
  const record = await finished(b, asked.body.job_uuid)
  expect(record).toMatchObject({
    uuid: asked.body.job_uuid,
    image_uuid: manifest.uuid,
    execution: 'succeeded',
    params: { image_uuid: manifest.uuid },
    chain_results: [{ result: 'OK', error: '' }],
  })
  expect((await call(b, 'GET', '/jobs', { anonymous: true })).status).toBe(401)
  expect((await call(b, 'GET', '/jobs')).body).toEqual([record])
})

test('a file is fetched from a URL and from a source', async () => {
  const a = await startServer()
  const b = await startImporter()
  const content = bytes(2_500_000)
  const image = await publish(a, content)
  const { uuid } = await create(b)
  const fromUrl = await call(
    b,
    'POST',
    `/images/${uuid}/file/from-url?compression=none&sha1=${sha1(content)}`,
    {
      body: { file_url: `${a.url}/images/${image.uuid}/file` },
    },
  )
  expect(fromUrl).toMatchObject({
    status: 200,
    body: { files: [{ sha1: sha1(content), size: content.length }] },
  })

  const imported = await call(b, 'POST', `/images/${image.uuid}?action=import&source=${a.url}`)
  expect(imported).toMatchObject({
    status: 200,
    body: { state: 'unactivated', published_at: image.published_at },
  })
  const filled = await call(b, 'PUT', `/images/${image.uuid}/file?source=${a.url}`)
  expect(filled).toMatchObject({ status: 200, body: { files: image.files } })
  await addFile(b, uuid, content)
})
