import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { addFile, bytes, call, create, md5, publish, sha1, uuid } from '../support/api.ts'
import { writeImage } from '../support/datadir.ts'
import { json, send } from '../support/http.ts'
import { builtManifest, Imgadm } from '../support/imgadm.ts'
import { AUTH, PASSWORD, startServer, type TestServer, temporaryFolder, USER } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'

/** What imgadm trips over, one test each, with the requests that it really sends. */

const sharedServer = shared(startServer)

function imgadm({ port }: TestServer, { login = false, suffix = '' } = {}) {
  const userinfo = login ? `${USER}:${encodeURIComponent(PASSWORD)}@` : ''
  const client = new Imgadm(`http://${userinfo}127.0.0.1:${port}/${suffix}`)
  onTestFinished(() => client.close())
  return client
}

const publisher = (server: TestServer) => imgadm(server, { login: true })

test('an upload that calls itself application/json is taken for what it is, of any size and content', async () => {
  const server = await sharedServer()
  // More than any JSON body may have, and not JSON.
  const content = bytes(3_000_000)
  const image = await publisher(server).publish(builtManifest(content), content)
  expect(image.files).toEqual([{ sha1: sha1(content), size: content.length, compression: 'none' }])
  const looksLikeJson = Buffer.from('{"name":')
  const second = await publisher(server).publish(builtManifest(looksLikeJson), looksLikeJson)
  expect(second.files[0]!.size).toBe(looksLikeJson.length)
})

test('a file is sent to a client that accepts application/json alone, whole, not chunked and not encoded', async () => {
  const server = await sharedServer()
  const content = bytes(500_000)
  const { uuid: id } = await publish(server, content)
  const reply = await send(`${server.url}/images/${id}/file`, 'GET', {
    headers: { accept: 'application/json', 'accept-encoding': 'gzip, deflate' },
  })
  expect(reply.status).toBe(200)
  expect(reply.headers['content-length']).toBe('500000')
  expect(reply.headers['transfer-encoding']).toBeUndefined()
  expect(reply.headers['content-encoding']).toBeUndefined()
  expect(reply.body.equals(content)).toBe(true)
  const [imported] = await imgadm(server).import(id)
  expect(imported!.content.equals(content)).toBe(true)
})

test('publish is import, upload and activate, and keeps the UUID and the date of publication', async () => {
  const server = await sharedServer()
  const content = bytes(1000)
  const manifest = builtManifest(content)
  const client = publisher(server)
  const image = await client.publish(manifest, content)
  expect(client.requests).toEqual([
    `POST /images/${manifest.uuid}?action=import`,
    `PUT /images/${manifest.uuid}/file?compression=none&sha1=${sha1(content)}`,
    `POST /images/${manifest.uuid}?action=activate`,
  ])
  expect(image).toEqual({
    ...manifest,
    published_at: expect.stringMatching(/^2026-01-02T03:04:05(\.000)?Z$/),
  })
})

test('create publishes an image whose version, name and description imgadm has made numbers and flags of', async () => {
  const server = await startServer()
  const content = bytes(1000)
  const words = ['name=2026', 'version=1.0', 'description=true', 'tags={"build":7}']
  const image = await publisher(server).create(words, content)
  expect(image).toMatchObject({
    ...{ state: 'active', name: '2026', version: '1', description: 'true', tags: { build: 7 } },
    files: [{ sha1: sha1(content) }],
  })
  const client = imgadm(server)
  expect((await client.avail()).map(row => row.uuid)).toEqual([image.uuid])
  expect((await client.import(image.uuid))[0]!.content.equals(content)).toBe(true)
})

test('an import is unactivated and without files until they have been uploaded', async () => {
  const server = await sharedServer()
  const manifest = builtManifest(bytes(10))
  const { body } = await call(server, 'POST', `/images/${manifest.uuid}?action=import`, { body: manifest })
  expect(body).toMatchObject({ uuid: manifest.uuid, state: 'unactivated', files: [] })
  const activated = await call(server, 'POST', `/images/${manifest.uuid}?action=activate`, { body: {} })
  expect(activated.body.code).toBe('NoActivationNoFile')
})

test('publish takes back what it imported when the upload fails, and can then be repeated', async () => {
  const server = await sharedServer()
  const content = bytes(1000)
  const manifest = builtManifest(content)
  const client = publisher(server)
  const other = { ...manifest, files: [{ ...manifest.files[0]!, sha1: sha1(bytes(1)) }] }
  await expect(client.publish(other, content)).rejects.toThrow(/^error \(Upload\): "sha1" hash, /)
  expect(client.requests.at(-1)).toBe(`DELETE /images/${manifest.uuid}`)
  expect((await client.getImage(manifest.uuid)).status).toBe(404)
  expect((await client.publish(manifest, content)).state).toBe('active')
})

test('an upload is answered with the size as a number and the sha1 in lower case', async () => {
  const server = await sharedServer()
  const content = bytes(1000)
  const { uuid: id } = await create(server)
  const image = await addFile(server, id, content, `compression=none&sha1=${sha1(content).toUpperCase()}`)
  expect(image.files[0]).toEqual({ sha1: sha1(content), size: 1000, compression: 'none' })
  // `files` of an import with the size as text are not what is answered later.
  const manifest = builtManifest(content, { files: [{ sha1: sha1(content), size: '1000' }] })
  await call(server, 'POST', `/images/${manifest.uuid}?action=import`, { body: manifest })
  expect((await addFile(server, manifest.uuid, content)).files[0]!.size).toBe(1000)
})

test('every unknown or hidden image is a 404 to those who may not see it, so that other sources are asked', async () => {
  const server = await sharedServer()
  const { uuid: unactivated } = await create(server)
  const client = imgadm(server)
  for (const id of [uuid(), unactivated, 'not-a-uuid', uuid().toUpperCase()]) {
    const reply = await client.getImage(id)
    expect(reply.status).toBe(404)
    expect(json(reply)).toEqual({ code: 'ResourceNotFound', message: expect.any(String) })
  }
})

test('a private image is a 404 where only public ones may be read', async () => {
  const server = await sharedServer({ config: { anonymous: 'public' } })
  const { uuid: id } = await publish(server)
  expect((await imgadm(server).getImage(id)).status).toBe(404)
  expect((await publisher(server).getImage(id)).status).toBe(200)
})

test('a disabled origin stays readable and can be imported with its child', async () => {
  const server = await startServer()
  const contents = [bytes(1000), bytes(2000), bytes(3000)]
  const base = await publish(server, contents[0])
  const middle = await publish(server, contents[1], { origin: base.uuid })
  const top = await publish(server, contents[2], { origin: middle.uuid })
  for (const { uuid: id } of [base, middle]) await call(server, 'POST', `/images/${id}?action=disable`)
  const client = imgadm(server)
  expect((await client.avail()).map(row => row.uuid)).toEqual([top.uuid])
  const imported = await client.import(top.uuid)
  expect(imported.map(({ manifest }) => manifest.state)).toEqual(['disabled', 'disabled', 'active'])
  expect(imported.map(({ content }) => sha1(content))).toEqual(contents.map(sha1))
})

test('an image that others depend on cannot be deleted', async () => {
  const server = await sharedServer()
  const base = await publish(server)
  const top = await publish(server, bytes(10), { origin: base.uuid })
  const refused = await call(server, 'DELETE', `/images/${base.uuid}`)
  expect({ status: refused.status, ...refused.body }).toMatchObject({
    status: 422,
    code: 'ImageHasDependentImages',
    message: expect.stringContaining(top.uuid),
  })
  expect((await imgadm(server).import(top.uuid)).length).toBe(2)
})

/** More images than a page has, most of them published in the same millisecond. */
async function serverWithManyImages(count: number) {
  const folder = temporaryFolder()
  const uuids = Array.from({ length: count }, uuid)
  for (const [index, id] of uuids.entries()) {
    const published_at = index < count - 10 ? '2020-01-01T00:00:00Z' : undefined
    writeImage(folder, id, published_at ? { published_at } : {})
  }
  const server = await startServer({ folder })
  return { server, uuids: uuids.toSorted() }
}

test('avail shows every image once, even if more than a page of them share their date', async () => {
  const { server, uuids } = await serverWithManyImages(1510)
  const client = imgadm(server)
  const rows = await client.avail()
  expect(rows.map(row => row.uuid).toSorted()).toEqual(uuids)
  // Nothing was cut off in the first answer.
  const first = await send(`${server.url}/images`, 'GET')
  expect(json(first).length).toBe(1510)
})

test('limit and marker walk through images of one date in the order of the whole list', async () => {
  const { server } = await serverWithManyImages(1210)
  const all: string[] = json(await send(`${server.url}/images`, 'GET')).map(
    (row: { uuid: string }) => row.uuid,
  )
  for (const limit of [1000, 100, 7]) {
    const seen: string[] = []
    for (let marker = ''; seen.length < all.length; marker = `&marker=${seen.at(-1)}`) {
      const reply = await send(`${server.url}/images?limit=${limit}${marker}`, 'GET')
      const page: string[] = json(reply).map((row: { uuid: string }) => row.uuid)
      expect(page.length).toBeLessThanOrEqual(limit)
      const fresh = page.filter(id => id !== seen.at(-1))
      if (fresh.length === 0) break
      seen.push(...fresh)
    }
    expect(seen).toEqual(all)
  }
})

test('a manifest says v 2, active, and of its file the sha1, the size and the compression', async () => {
  const server = await sharedServer()
  const content = bytes(1000)
  const { uuid: id } = await publish(server, content)
  const manifest = await imgadm(server).show(id)
  expect(manifest).toMatchObject({
    v: 2,
    uuid: id,
    state: 'active',
    published_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    files: [{ sha1: sha1(content), size: 1000, compression: 'none' }],
  })
})

test('every error is JSON with a code and a message, also where no operation was reached', async () => {
  const server = await sharedServer()
  const { uuid: id } = await publish(server)
  const cases: [method: string, path: string, status: number, options?: Parameters<typeof send>[2]][] = [
    ['GET', '/nothing/here', 404],
    ['GET', `/images/${uuid()}`, 404],
    ['GET', `/images/${uuid()}/file`, 404],
    ['POST', '/images', 401, { body: '{}' }],
    ['GET', '/images', 401, { headers: { authorization: 'Basic bm9ib2R5OndyaXRlcw==' } }],
    ['DELETE', '/images', 405],
    ['POST', '/images', 400, { body: '{', headers: AUTH }],
    ['POST', '/images', 413, { body: ' '.repeat(2_000_000), headers: AUTH }],
    ['POST', `/images/${id}?action=activate`, 422, { headers: AUTH }],
    ['GET', '/images/%zz', 400],
    ['GET', '/images', 431, { headers: { 'x-long': 'x'.repeat(20_000) } }],
    ['GET', '/images', 400, { headers: { 'accept-version': '~99' } }],
  ]
  for (const [method, path, status, options] of cases) {
    const reply = await send(server.url + path, method, options)
    expect([method, path, reply.status]).toEqual([method, path, status])
    expect(reply.headers['content-type']).toBe('application/json')
    expect(json(reply)).toMatchObject({ code: expect.any(String), message: expect.any(String) })
    expect(Number(reply.headers['content-length'])).toBe(reply.body.length)
  }
})

test('JSON comes without a Content-MD5, which old clients get wrong, and files with one', async () => {
  const server = await sharedServer()
  const content = bytes(1000)
  const { uuid: id } = await publish(server, content, { description: 'Grüße aus 日本' })
  for (const path of ['/ping', '/images', `/images/${id}`, `/images/${uuid()}`, '/nothing']) {
    expect((await send(server.url + path, 'GET')).headers['content-md5']).toBeUndefined()
  }
  expect((await send(`${server.url}/images/${id}/file`, 'GET')).headers['content-md5']).toBe(md5(content))
})

test('a ping needs no credentials and says imgapi in plain application/json', async () => {
  const server = await sharedServer({ config: { anonymous: 'none' } })
  const reply = await imgadm(server).ping()
  expect(reply.headers['content-type']).toBe('application/json')
  expect(json(reply)).toMatchObject({ ping: 'pong', imgapi: true })
})

test('every Accept-Version of imgadm is served, and none at all', async () => {
  const server = await sharedServer()
  const { uuid: id } = await publish(server)
  for (const path of ['/ping', '/images', `/images/${id}`, `/images/${id}/file`]) {
    for (const version of ['~2', '*', '~1', undefined]) {
      const headers = version === undefined ? {} : { 'accept-version': version }
      expect((await send(server.url + path, 'GET', { headers })).status).toBe(200)
    }
  }
})

test('a channel is ignored by a server that has none', async () => {
  const server = await startServer()
  const content = bytes(1000)
  const manifest = builtManifest(content)
  const client = new Imgadm(`${server.url}?channel=staging`)
  onTestFinished(() => client.close())
  const login = new Imgadm(
    `http://${USER}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${server.port}/?channel=staging`,
  )
  onTestFinished(() => login.close())
  expect(await login.publish(manifest, content)).not.toHaveProperty('channels')
  await client.ping()
  expect((await client.avail()).map(row => row.uuid)).toEqual([manifest.uuid])
  expect((await client.import(manifest.uuid))[0]!.content.equals(content)).toBe(true)
  expect(client.requests).toContain(`GET /images/${manifest.uuid}/file?channel=staging`)
})

test('user and password in the URL are what lets one publish, and reading needs neither', async () => {
  const server = await startServer()
  const content = bytes(1000)
  const manifest = builtManifest(content)
  await expect(imgadm(server).publish(manifest, content)).rejects.toThrow(
    'error (UnauthorizedError): Unauthorized',
  )
  await publisher(server).publish(manifest, content)
  for (const client of [imgadm(server), publisher(server)]) {
    await client.ping()
    expect((await client.avail()).length).toBe(1)
    expect((await client.import(manifest.uuid)).length).toBe(1)
  }
})

test('a source URL may end in slashes', async () => {
  const server = await startServer()
  await publish(server)
  const client = imgadm(server, { suffix: '/' })
  await client.ping()
  expect((await client.avail()).length).toBe(1)
})

test('an upload may take longer than the stall timeout as long as its bytes flow', async () => {
  const server = await sharedServer({ config: { stallTimeout: 2 } })
  const { uuid: id } = await create(server)
  const pieces = Array.from({ length: 12 }, () => bytes(1000))
  async function* slowly() {
    for (const piece of pieces) {
      await pause(250)
      yield piece
    }
  }
  const reply = await send(`${server.url}/images/${id}/file?compression=none`, 'PUT', {
    headers: { ...AUTH, 'content-length': 12_000 },
    body: Readable.from(slowly()),
  })
  expect(json(reply).files[0]).toMatchObject({ size: 12_000, sha1: sha1(Buffer.concat(pieces)) })
})

test('a connection is kept for the next call, and is promised for at least a minute', async () => {
  const server = await sharedServer()
  const { uuid: id } = await publish(server)
  const client = imgadm(server)
  const first = await client.ping()
  const timeout = /timeout=(\d+)/.exec(first.headers['keep-alive'] as string)
  expect(Number(timeout?.[1])).toBeGreaterThanOrEqual(60)
  // A failed call does not cost the connection either.
  const replies = [await client.getImage(uuid()), await client.getImage(id), await client.ping()]
  expect(replies.map(reply => reply.localPort)).toEqual(replies.map(() => first.localPort))
})

test('a call with Connection: close is answered in full and its connection closed', async () => {
  const server = await sharedServer()
  const { uuid: id } = await publish(server)
  const reply = await send(`${server.url}/images/${id}`, 'GET', { headers: { Connection: 'close' } })
  expect(reply.headers.connection).toBe('close')
  expect(json(reply).uuid).toBe(id)
})

test('a docker image without tags["docker:id"] cannot get into the list, which imgadm could not show', async () => {
  const server = await startServer()
  const content = bytes(100)
  const refused = publisher(server).publish(builtManifest(content, { type: 'docker' }), content)
  await expect(refused).rejects.toThrow('error (ValidationFailed): invalid image data: tags')
  const tags = { 'docker:id': 'sha256:0123456789ab' }
  const { uuid: id } = await publisher(server).publish(
    builtManifest(content, { type: 'docker', tags }),
    content,
  )
  expect((await imgadm(server).avail()).map(row => row.uuid)).toEqual([id])
  for (const change of [{ tags: {} }, { tags: { 'docker:id': '' } }, { tags: null }]) {
    const { status } = await call(server, 'POST', `/images/${id}?action=update`, { body: change })
    expect(status).toBe(422)
  }
  expect((await imgadm(server).avail()).length).toBe(1)
})
