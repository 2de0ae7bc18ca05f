import { expect, test } from 'vitest'
import { addFile, bytes, call, create, publish, sha1 } from '../support/api.ts'
import { startServer, type TestServer } from '../support/server.ts'

/** Polls until a job is over. */
async function finished(server: TestServer, job: string) {
  const deadline = Date.now() + 30_000
  for (;;) {
    const { body } = await call(server, 'GET', `/jobs/${job}`, { anonymous: true })
    if (body.execution !== 'queued' && body.execution !== 'running') return body
    if (Date.now() > deadline) throw new Error(`the job is still ${JSON.stringify(body)}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

const importer = () =>
  startServer({
    config: { allowPrivateSources: true, imports: { firstDelay: 50, longestDelay: 500, retries: 8 } },
  })

test('an image is imported with its two origins, byte for byte, with uuid and published_at', async () => {
  const a = await startServer()
  const b = await importer()
  const contents = [bytes(3_000_000), bytes(2_000_000), bytes(1_500_000)]
  const base = await publish(a, contents[0])
  const middle = await publish(a, contents[1], { origin: base.uuid })
  const top = await publish(a, contents[2], { origin: middle.uuid })

  const asked = await call(b, 'POST', `/images/${top.uuid}?action=import-remote&source=${a.url}`)
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

test('a source on a private address is refused before anything is queued', async () => {
  const a = await startServer()
  const b = await startServer()
  const image = await publish(a)
  const asked = await call(b, 'POST', `/images/${image.uuid}?action=import-remote&source=${a.url}`)
  expect(asked).toMatchObject({
    status: 422,
    body: { code: 'InvalidParameter', errors: [{ field: 'source' }] },
  })
  const { uuid } = await create(b)
  const fromUrl = await call(b, 'POST', `/images/${uuid}/file/from-url?compression=none`, {
    body: { file_url: `${a.url}/images/${image.uuid}/file` },
  })
  expect(fromUrl).toMatchObject({
    status: 422,
    body: { code: 'InvalidParameter', errors: [{ field: 'file_url' }] },
  })
  expect((await call(b, 'GET', '/jobs')).body).toEqual([])
})

test('a file is fetched from a URL and from a source', async () => {
  const a = await startServer()
  const b = await importer()
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

test('an import goes on after its server is killed and its source is away for a while', async () => {
  const a = await startServer({ keep: true })
  const b = await importer()
  const content = bytes(40_000_000)
  const image = await publish(a, content)
  const asked = await call(b, 'POST', `/images/${image.uuid}?action=import-remote&source=${a.url}`)
  await a.kill()
  await b.kill()
  const again = await startServer({
    folder: b.folder,
    config: { allowPrivateSources: true, imports: { firstDelay: 50, longestDelay: 200, retries: 50 } },
  })
  const source = await startServer({ folder: a.folder, config: { port: a.port } })
  const job = await finished(again, asked.body.job_uuid)
  expect(job).toMatchObject({ execution: 'succeeded' })
  expect((await call(again, 'GET', `/images/${image.uuid}`)).body).toEqual(
    (await call(source, 'GET', `/images/${image.uuid}`)).body,
  )
})
