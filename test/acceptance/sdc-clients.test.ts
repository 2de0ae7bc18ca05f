import { createReadStream, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { bytes, manifest, md5, publish, sha1, uuid } from '../support/api.ts'
import { writeImage } from '../support/datadir.ts'
import { builtManifest } from '../support/imgadm.ts'
import { allNeedOldClients } from '../support/old-clients.ts'
import { failureOf, type SdcClient, sdcClient } from '../support/sdc-client.ts'
import { startServer, temporaryFolder } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'

/** The real client library: every method that the core of the API covers. */

const sharedServer = shared(startServer)

allNeedOldClients()

const anonymous = { user: undefined, password: undefined }
const NOBODY = '00000000-0000-0000-0000-000000000000'

function temporaryFile(content: Uint8Array) {
  const path = join(temporaryFolder(), 'file')
  writeFileSync(path, content)
  return path
}

async function publishWith(client: SdcClient, content = bytes(100), changes = {}) {
  const { uuid: id } = await client.createImage(manifest(changes))
  await client.addImageFile({ uuid: id, file: temporaryFile(content), compression: 'none' })
  return client.activateImage(id)
}

test('ping says pong, and who is asking', async () => {
  const server = await sharedServer()
  const pong = { ping: 'pong', version: '1.0.0', imgapi: true, pid: server.pid }
  expect(await sdcClient(server).ping()).toEqual({ ...pong, user: 'admin' })
  expect(await sdcClient(server, anonymous).ping()).toEqual(pong)
})

test('wrong credentials end every call with one 401', async () => {
  const server = await sharedServer()
  const client = sdcClient(server, { password: 'wrong' })
  const calls: Promise<unknown>[] = [client.ping(), client.listImages(), client.createImage(manifest())]
  for (const error of await Promise.all(calls.map(failureOf))) {
    expect(error).toMatchObject({
      statusCode: 401,
      body: { code: 'UnauthorizedError', message: 'Unauthorized' },
    })
  }
})

test('an image is created, gets its file from a path, is activated and read back', async () => {
  const server = await sharedServer()
  const client = sdcClient(server)
  const content = gzipSync(bytes(200_000), { level: 1 })
  const created = await client.createImage(manifest({ description: 'Grüße aus 日本', tags: { role: 'db' } }))
  expect(created).toMatchObject({
    state: 'unactivated',
    owner: NOBODY,
    description: 'Grüße aus 日本',
    files: [],
  })

  const stored = await client.addImageFile({
    uuid: created.uuid,
    file: temporaryFile(content),
    compression: 'gzip',
    sha1: sha1(content),
  })
  expect(stored.files).toEqual([{ sha1: sha1(content), size: content.length, compression: 'gzip' }])

  const active = await client.activateImage(created.uuid)
  expect(active).toMatchObject({ state: 'active', published_at: expect.any(String) })
  expect(await client.getImage(created.uuid)).toEqual(active)
  expect(await sdcClient(server, anonymous).getImage(created.uuid)).toEqual(active)
})

test('a file of unknown length is taken from a stream', async () => {
  const server = await sharedServer()
  const client = sdcClient(server)
  const content = bytes(3_000_000)
  const { uuid: id } = await client.createImage(manifest())
  const file = createReadStream(temporaryFile(content))
  const stored = await client.addImageFile({ uuid: id, file, compression: 'none' })
  expect(stored.files[0]).toMatchObject({ size: content.length, sha1: sha1(content) })
})

test('getImageFile is content with the Content-MD5 of small and large files', async () => {
  const server = await sharedServer()
  const client = sdcClient(server)
  for (const size of [1, 1000, 5_000_000]) {
    const content = bytes(size)
    const { uuid: id } = await publish(server, content)
    const copy = join(temporaryFolder(), 'copy')
    await client.getImageFile(id, copy)
    expect(readFileSync(copy).equals(content)).toBe(true)
  }
})

test('getImageFileStream is the bytes, with the headers of the answer', async () => {
  const server = await sharedServer()
  const content = bytes(100_000)
  const { uuid: id } = await publish(server, content)
  const stream = await sdcClient(server).getImageFileStream(id)
  const { headers } = stream as unknown as { headers: Record<string, string> }
  expect(headers).toMatchObject({ 'content-md5': md5(content), 'content-length': '100000' })
  expect((await buffer(stream)).equals(content)).toBe(true)
})

test('an import keeps UUID, owner and date of publication', async () => {
  const server = await sharedServer()
  const client = sdcClient(server)
  const content = bytes(100)
  const given = builtManifest(content, { owner: uuid() })
  const imported = await client.adminImportImage(given, { skipOwnerCheck: true })
  expect(imported).toMatchObject({ uuid: given.uuid, state: 'unactivated', files: [], owner: given.owner })
  await client.addImageFile({ uuid: given.uuid, file: temporaryFile(content), compression: 'none' })
  expect(await client.activateImage(given.uuid)).toMatchObject({
    uuid: given.uuid,
    state: 'active',
    owner: given.owner,
    published_at: given.published_at,
  })
  expect(await failureOf(client.adminImportImage(given))).toMatchObject({
    statusCode: 409,
    body: { code: 'ImageUuidAlreadyExists' },
  })
})

test('an image is disabled, enabled, updated and deleted', async () => {
  const server = await startServer()
  const client = sdcClient(server)
  const { uuid: id } = await publishWith(client)
  expect(await client.disableImage(id)).toMatchObject({ state: 'disabled', disabled: true })
  expect(await client.listImages()).toEqual([])
  expect(await client.enableImage(id)).toMatchObject({ state: 'active', disabled: false })
  const changes = { description: 'changed', public: true, tags: { a: 'b' } }
  expect(await client.updateImage(id, changes)).toMatchObject({ uuid: id, ...changes })
  await client.deleteImage(id)
  expect(await failureOf(client.getImage(id))).toMatchObject({
    statusCode: 404,
    body: { code: 'ResourceNotFound', message: `image ${id} not found` },
  })
})

test('an icon is added from a path and a stream, read as a file and a stream, and deleted', async () => {
  const server = await sharedServer()
  const client = sdcClient(server)
  const { uuid: id } = await publishWith(client)
  const [gif, png] = [bytes(1000), bytes(2000)]
  const options = { uuid: id, contentType: 'image/gif', file: temporaryFile(gif), sha1: sha1(gif) }
  expect(await client.addImageIcon(options)).toMatchObject({ uuid: id, icon: true })
  const copy = join(temporaryFolder(), 'copy.gif')
  await client.getImageIcon(id, copy)
  expect(readFileSync(copy).equals(gif)).toBe(true)

  const file = createReadStream(temporaryFile(png))
  await client.addImageIcon({ uuid: id, contentType: 'image/png', file, size: png.length })
  const stream = await client.getImageIconStream(id)
  expect(stream).toMatchObject({ headers: { 'content-type': 'image/png', 'content-md5': md5(png) } })
  expect((await buffer(stream)).equals(png)).toBe(true)

  expect(await client.deleteImageIcon(id)).not.toHaveProperty('icon')
  const gone = await failureOf(client.getImageIcon(id, copy))
  expect(gone).toMatchObject({ statusCode: 404, body: { code: 'ResourceNotFound' } })
})

test('listImages filters as it is asked to', async () => {
  const server = await startServer()
  const client = sdcClient(server)
  const owner = uuid()
  const a = await publishWith(client, bytes(10), { name: 'base-64', version: '1.0.0', public: true })
  const b = await publishWith(client, bytes(10), { name: 'base-32', os: 'linux', tags: { role: 'db' } })
  const c = await client.createImage(manifest({ name: 'other', type: 'other', owner }))
  const found = async (filters: Record<string, unknown>) =>
    (await client.listImages(filters)).map(image => image.uuid)
  expect(await found({})).toEqual([a.uuid, b.uuid])
  expect(await found({ state: 'all' })).toEqual(expect.arrayContaining([a.uuid, b.uuid, c.uuid]))
  expect(await found({ state: 'unactivated' })).toEqual([c.uuid])
  expect(await found({ name: 'base-64' })).toEqual([a.uuid])
  expect(await found({ name: '~base' })).toEqual([a.uuid, b.uuid])
  expect(await found({ version: '1.0.0', os: 'linux' })).toEqual([b.uuid])
  expect(await found({ 'tag.role': 'db' })).toEqual([b.uuid])
  expect(await found({ public: true })).toEqual([a.uuid])
  expect(await found({ public: false })).toEqual([b.uuid])
  expect(await found({ owner, state: 'all' })).toEqual([c.uuid])
  expect(await found({ type: '!other', state: 'all' })).toEqual([a.uuid, b.uuid])
  expect(await found({ limit: 1 })).toEqual([a.uuid])
  expect(await found({ limit: 1, sort: 'published_at.desc' })).toEqual([b.uuid])
  expect(await found({ limit: 2, marker: b.uuid })).toEqual([b.uuid])
  expect(await found({ account: owner, state: 'unactivated' })).toEqual([c.uuid])
})

test('listImages collects every page of more than a thousand images', async () => {
  const folder = temporaryFolder()
  const uuids = Array.from({ length: 1205 }, uuid)
  for (const id of uuids) writeImage(folder, id, { published_at: '2020-01-01T00:00:00Z' })
  const server = await startServer({ folder })
  const client = sdcClient(server, anonymous)
  expect((await client.listImages()).map(image => image.uuid)).toEqual(uuids.toSorted())
  // From a marker on: the library leaves the marker out.
  const second = uuids.toSorted()[1]
  expect((await client.listImages({ marker: second })).length).toBe(1203)
})

test('every call on an image that is not there is a 404 with its UUID', async () => {
  const server = await sharedServer()
  const client = sdcClient(server)
  const id = uuid()
  const copy = join(temporaryFolder(), 'copy')
  const calls: Promise<unknown>[] = [
    client.getImage(id),
    client.addImageFile({ uuid: id, file: temporaryFile(bytes(10)), compression: 'none' }),
    client.getImageFile(id, copy),
    client.getImageFileStream(id),
    client.addImageIcon({ uuid: id, file: temporaryFile(bytes(10)), contentType: 'image/png' }),
    client.getImageIcon(id, copy),
    client.getImageIconStream(id),
    client.deleteImageIcon(id),
    client.activateImage(id),
    client.disableImage(id),
    client.enableImage(id),
    client.updateImage(id, { name: 'new' }),
    client.deleteImage(id),
  ]
  for (const error of await Promise.all(calls.map(failureOf))) {
    expect(error).toMatchObject({
      statusCode: 404,
      body: { code: 'ResourceNotFound', message: `image ${id} not found` },
    })
  }
})

test('a manifest with several mistakes is answered with each of them', async () => {
  const server = await sharedServer()
  const error = await failureOf(
    sdcClient(server).createImage({ name: 'a:b', version: '1', type: 'nonsense' }),
  )
  expect(error).toMatchObject({ statusCode: 422, restCode: 'ValidationFailed' })
  expect(error.body).toEqual({
    code: 'ValidationFailed',
    message: 'invalid image data: name, type, os',
    errors: [
      { field: 'name', code: 'Invalid', message: expect.stringContaining('invalid characters') },
      { field: 'type', code: 'Invalid', message: expect.stringContaining('invalid image type, "nonsense"') },
      { field: 'os', code: 'MissingParameter' },
    ],
  })
})

test('what the state of an image does not allow is refused with its own code', async () => {
  const server = await sharedServer()
  const client = sdcClient(server)
  const { uuid: fresh } = await client.createImage(manifest())
  const { uuid: active } = await publishWith(client)
  const file = temporaryFile(bytes(10))
  const cases: [call: Promise<unknown>, status: number, code: string][] = [
    [client.activateImage(fresh), 422, 'NoActivationNoFile'],
    [client.activateImage(active), 422, 'ImageAlreadyActivated'],
    [client.addImageFile({ uuid: active, file, compression: 'none' }), 422, 'ImageFilesImmutable'],
    [client.updateImage(active, { type: 'zvol' }), 422, 'ValidationFailed'],
    [client.updateImage(active, {}), 422, 'ValidationFailed'],
    [client.createImage(manifest({ origin: uuid() })), 422, 'OriginDoesNotExist'],
    [client.addImageIcon({ uuid: active, file, contentType: 'text/plain' }), 400, 'Upload'],
    [client.listImages({ limit: -1 }), 422, 'InvalidParameter'],
    [client.listImages({ marker: uuid() }), 404, 'ResourceNotFound'],
  ]
  const errors = await Promise.all(cases.map(([call]) => failureOf(call)))
  expect(errors.map(({ statusCode, body }) => [statusCode, body.code])).toEqual(
    cases.map(([, status, code]) => [status, code]),
  )
})

test('an upload that fails shows why, and one by another account is refused', async () => {
  const server = await sharedServer()
  const client = sdcClient(server)
  const [owner, stranger] = [uuid(), uuid()]
  const { uuid: id } = await client.createImage(manifest({ public: true }), owner)
  const options = { uuid: id, file: temporaryFile(bytes(10)), compression: 'none' }
  expect(await failureOf(client.addImageFile({ ...options, sha1: sha1(bytes(1)) }))).toMatchObject({
    statusCode: 400,
    body: { code: 'Upload', message: expect.stringContaining('does not match') },
  })
  const lie = await failureOf(client.addImageFile({ ...options, compression: 'xz' }))
  expect(lie).toMatchObject({ statusCode: 422, body: { code: 'InvalidParameter' } })
  expect(await failureOf(client.addImageFile(options, stranger))).toMatchObject({ statusCode: 404 })
  await client.addImageFile(options, owner)
  await client.activateImage(id, owner)
  expect((await client.getImage(id, stranger)).uuid).toBe(id)
  const refused = await failureOf(client.updateImage(id, { name: 'mine' }, stranger))
  expect(refused).toMatchObject({ statusCode: 422, body: { code: 'NotImageOwner' } })
})

test('admin fields are for the authenticated', async () => {
  const server = await sharedServer()
  const { uuid: id } = await publish(server)
  const options = { inclAdminFields: true }
  expect((await sdcClient(server).getImage(id, options)).files[0]).toHaveProperty('stor', 'local')
  const refused = await failureOf(sdcClient(server, anonymous).getImage(id, options))
  expect(refused).toMatchObject({ statusCode: 401, body: { code: 'UnauthorizedError' } })
})

test('a channel given to the client is ignored by a server that has none', async () => {
  const server = await startServer()
  const client = sdcClient(server, { channel: 'staging' })
  const image = await publishWith(client)
  expect(image).not.toHaveProperty('channels')
  expect((await client.listImages()).map(({ uuid: id }) => id)).toEqual([image.uuid])
  await client.deleteImage(image.uuid)
})
