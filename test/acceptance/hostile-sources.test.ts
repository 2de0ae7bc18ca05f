import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { bytes, call, create, sha1 } from '../support/api.ts'
import { selfSigned } from '../support/certificate.ts'
import { askImport, importFrom, jobOf, startImporter } from '../support/imports.ts'
import { startServer } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'
import { imgapi, remoteManifest, sendContent, sendJson, sendPart, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

const sharedImporter = shared(startImporter)

const CONTENT = bytes(600_000)

/** An image at a source that sends its file in some way, and how its import ends. */
async function importOf(
  sendFile: Parameters<typeof imgapi>[1],
  { changes = {}, config = {} }: { changes?: Record<string, unknown>; config?: Record<string, unknown> } = {},
) {
  const manifest = remoteManifest(CONTENT, changes)
  const source = await startSource(imgapi([manifest], sendFile))
  const server = await sharedImporter({ config })
  const job = await importFrom(server, manifest.uuid, source.url)
  const image = await call(server, 'GET', `/images/${manifest.uuid}`)
  return { job, image, source, server }
}

const files = (changes: Record<string, unknown>) => ({
  files: [{ sha1: sha1(CONTENT), size: CONTENT.length, compression: 'none', ...changes }],
})

test('a source that breaks off now and then is asked for the rest', async () => {
  const { job, image, source } = await importOf((request, response) =>
    sendPart(CONTENT, 250_000, request, response),
  )
  expect(job).toMatchObject({ execution: 'succeeded', bytes_done: CONTENT.length })
  expect(image.status).toBe(200)
  expect(source.requests.filter(({ range }) => range).length).toBeGreaterThan(1)
})

test('a source that knows no ranges sends all of it again, and what is here already is skipped', async () => {
  let times = 0
  const { job } = await importOf((request, response) => {
    delete request.headers.range
    if (times++ === 0) sendPart(CONTENT, 300_000, request, response)
    else sendContent(CONTENT, request, response)
  })
  expect(job).toMatchObject({ execution: 'succeeded' })
})

test('answers of 500 are retried, and told if they do not end', async () => {
  let times = 0
  const recovers = await importOf((request, response) => {
    if (times++ < 3) sendJson(response, 500, { code: 'InternalError', message: 'not today' })
    else sendContent(CONTENT, request, response)
  })
  expect(recovers.job).toMatchObject({ execution: 'succeeded', retries: 3 })
  const { job, image } = await importOf((_, response) =>
    sendJson(response, 500, { code: 'InternalError', message: 'never' }),
  )
  expect(job).toMatchObject({
    execution: 'failed',
    error: { message: expect.stringMatching(/HTTP 500 .*never/) },
  })
  expect(job.chain_results.at(-1).error).toContain('never')
  expect(image.status).toBe(404)
})

test.each([
  ['lies about the sha1', files({ sha1: 'a'.repeat(40) }), /"sha1" file field, a{40}, does not match/],
  ['has less than its manifest says', files({ size: CONTENT.length + 1 }), /sent 600000 of 600001 bytes/],
  ['has more than its manifest says', files({ size: CONTENT.length - 1 }), /more than the 599999 bytes/],
  ['has no file', { files: [] }, /has no file/],
])('a source that %s gives no image', async (_, changes, reason) => {
  const { job, image } = await importOf((request, response) => sendContent(CONTENT, request, response), {
    changes,
    config: { imports: { retries: 1, firstDelay: 10, longestDelay: 10 } },
  })
  expect(job).toMatchObject({ execution: 'failed', error: { message: expect.stringMatching(reason) } })
  expect(image.status).toBe(404)
})

test('a slow source is waited for as long as it sends anything', async () => {
  const { job } = await importOf(
    async (_, response) => {
      response.writeHead(200, { 'content-length': CONTENT.length })
      for (let from = 0; from < CONTENT.length; from += 50_000) {
        response.write(CONTENT.subarray(from, from + 50_000))
        await pause(200)
      }
      response.end()
    },
    { config: { stallTimeout: 2 } },
  )
  expect(job).toMatchObject({ execution: 'succeeded', retries: 0, bytes_done: CONTENT.length })
})

test('a source that stalls is given up after the deadline', async () => {
  const { job } = await importOf(
    (_, response) => {
      response.writeHead(200, { 'content-length': CONTENT.length }).write(CONTENT.subarray(0, 10))
    },
    { config: { stallTimeout: 1, imports: { retries: 0 } } },
  )
  expect(job).toMatchObject({ execution: 'failed', error: { code: 'Download' } })
})

test('redirects are followed, but not in circles', async () => {
  const once = await importOf((request, response) => {
    if (request.url?.includes('moved')) return sendContent(CONTENT, request, response)
    response.writeHead(302, { location: `${request.url}?moved=1` }).end()
  })
  expect(once.job).toMatchObject({ execution: 'succeeded' })
  const { job } = await importOf((request, response) => {
    response.writeHead(302, { location: request.url }).end()
  })
  expect(job).toMatchObject({
    execution: 'failed',
    error: { message: expect.stringContaining('redirects more than') },
  })
})

test('credentials go to the source of a redirect and not where it leads, nor into records, answers or the log', async () => {
  const elsewhere = await startSource((request, response) => sendContent(CONTENT, request, response))
  const manifest = remoteManifest(CONTENT)
  const source = await startSource(
    imgapi([manifest], (_, response) => {
      response.writeHead(307, { location: `${elsewhere.url}/bytes` }).end()
    }),
  )
  const server = await startImporter()
  const withPassword = source.url.replace('://', '://reader:hush%40hush@')
  const job = await importFrom(server, manifest.uuid, withPassword)
  expect(job).toMatchObject({ execution: 'succeeded' })
  const expected = `Basic ${Buffer.from('reader:hush@hush').toString('base64')}`
  expect(source.requests.every(({ authorization }) => authorization === expected)).toBe(true)
  expect(elsewhere.requests.map(({ authorization }) => authorization)).toEqual([undefined])
  expect(JSON.stringify(job)).not.toContain('hush')
  const failed = await call(
    server,
    'POST',
    `/images/${manifest.uuid}?action=import&source=${withPassword}x/none`,
  )
  expect(failed.text).not.toContain('hush')
  await until('the log has told of it', () => server.log().some(({ msg }) => msg.includes('succeeded')))
  expect(JSON.stringify(server.log())).not.toContain('hush')
})

test('origins in a circle at the source end in an error', async () => {
  const [first, second] = [remoteManifest(CONTENT), remoteManifest(CONTENT)]
  const manifests = [
    { ...first, origin: second.uuid },
    { ...second, origin: first.uuid },
  ]
  const source = await startSource(imgapi(manifests, () => {}))
  const server = await sharedImporter()
  const asked = await askImport(server, first.uuid, source.url)
  expect(asked).toMatchObject({ status: 503, body: { code: 'RemoteSourceError' } })
})

test('what is no manifest, an image that is not there and an inactive origin are told at once', async () => {
  const origin = remoteManifest(CONTENT, { state: 'disabled', disabled: true })
  const child = remoteManifest(CONTENT, { origin: origin.uuid })
  const source = await startSource(imgapi([origin, child], () => {}))
  const page = await startSource((_, response) => response.end('<html>'))
  const server = await startImporter()
  expect(await askImport(server, child.uuid, source.url)).toMatchObject({
    status: 422,
    body: { code: 'OriginIsNotActive' },
  })
  const unknown = await askImport(server, remoteManifest(CONTENT).uuid, source.url)
  expect(unknown).toMatchObject({ status: 503, body: { code: 'RemoteSourceError' } })
  expect(unknown.body.message).toContain('no such image')
  expect((await askImport(server, child.uuid, page.url)).status).toBe(503)
  expect((await call(server, 'GET', '/jobs')).body).toEqual([])
})

test('a certificate of an unknown authority is refused, unless the config trusts it', async () => {
  const { cert, key } = selfSigned()
  const manifest = remoteManifest(CONTENT)
  const source = await startSource(
    imgapi([manifest], (request, response) => sendContent(CONTENT, request, response)),
    { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') },
  )
  const strict = await startImporter()
  const refused = await askImport(strict, manifest.uuid, source.url)
  expect(refused).toMatchObject({ status: 503, body: { message: expect.stringMatching(/certificate/i) } })
  for (const trust of [{ ca: cert }, { insecure: true }]) {
    const server = await startImporter({ config: { sources: [{ url: source.url, ...trust }] } })
    expect(await importFrom(server, manifest.uuid, source.url)).toMatchObject({ execution: 'succeeded' })
  }
})

test('a source on a private address is refused before anything is queued, and so is one that redirects there', async () => {
  const source = await startSource((_, response) => response.end())
  const server = await startServer()
  const manifest = remoteManifest(CONTENT)
  const { uuid } = await create(server)
  const byName = source.url.replace('127.0.0.1', 'localhost')
  for (const url of [
    source.url,
    byName,
    'http://169.254.169.254/',
    'http://[::1]/',
    'ftp://example.com/',
    'nonsense',
  ]) {
    expect(await askImport(server, manifest.uuid, url)).toMatchObject({
      status: 422,
      body: { code: 'InvalidParameter', errors: [{ field: 'source' }] },
    })
    const body = { file_url: url }
    expect(
      await call(server, 'POST', `/images/${uuid}/file/from-url?compression=none`, { body }),
    ).toMatchObject({
      status: 422,
      body: { code: 'InvalidParameter', errors: [{ field: 'file_url' }] },
    })
  }
  expect(source.requests).toEqual([])
  expect((await call(server, 'GET', '/jobs')).body).toEqual([])
})

test.each([
  ['a wrong sha1', 'compression=none&sha1=abc', 400, 'Download'],
  ['a compression that it has not', 'compression=gzip', 422, 'InvalidParameter'],
  ['no compression', '', 422, 'InvalidParameter'],
  ['an unknown compression', 'compression=zip', 422, 'InvalidParameter'],
])('a file from a URL with %s is refused and leaves nothing', async (_, query, status, code) => {
  const source = await startSource((request, response) => sendContent(CONTENT, request, response))
  const server = await sharedImporter()
  const { uuid } = await create(server)
  const body = { file_url: source.url }
  expect(await call(server, 'POST', `/images/${uuid}/file/from-url?${query}`, { body })).toMatchObject({
    status,
    body: { code },
  })
  expect((await call(server, 'GET', `/images/${uuid}`)).body.files).toEqual([])
})

test('a client that waits for a file from a URL and leaves ends the download', async () => {
  let isClosed = false
  const source = await startSource((_, response) => {
    response.on('close', () => {
      isClosed = true
    })
    response.writeHead(200, { 'content-length': 1000 }).write('x')
  })
  const server = await sharedImporter()
  const { uuid } = await create(server)
  const leaving = new AbortController()
  const headers = { authorization: `Basic ${Buffer.from('admin:correct horse').toString('base64')}` }
  const waiting = fetch(`${server.url}/images/${uuid}/file/from-url?compression=none`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ file_url: source.url }),
    signal: leaving.signal,
  })
  await until('the source is asked', () => source.requests.length === 1)
  leaving.abort()
  await expect(waiting).rejects.toThrow()
  await until('the download has ended', () => isClosed)
  await until('another upload may come', async () => {
    const { status } = await call(server, 'PUT', `/images/${uuid}/file?compression=none`, { body: CONTENT })
    return status === 200
  })
})

test('a damaged record of a job does not keep the server from starting', async () => {
  const server = await startImporter()
  await server.stop()
  const { writeFileSync } = await import('node:fs')
  writeFileSync(join(server.datadir, '.jobs', '11111111-1111-4111-8111-111111111111.json'), '{"uuid":')
  const again = await startImporter({ folder: server.folder })
  expect((await call(again, 'GET', '/jobs')).body).toEqual([])
  expect((await jobOf(again, '11111111-1111-4111-8111-111111111111')).code).toBe('ResourceNotFound')
})
