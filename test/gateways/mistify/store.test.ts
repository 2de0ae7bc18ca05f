import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { addFile, bytes, call, create, md5, publish, sha1 } from '../../support/api.ts'
import { send } from '../../support/http.ts'
import { ask, fetchFrom, hasStatus, type MistifyServer, startMistify, upload } from '../../support/mistify.ts'
import { AUTH } from '../../support/server.ts'
import { sendContent, startSource } from '../../support/source.ts'

/** One store behind two protocols, and who may do what through the second one. */

const ZVOL = { type: 'zvol', nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host', image_size: 10 }

const idsOf = async (server: MistifyServer) =>
  (await ask(server, 'GET', '/images')).body.map(({ id }: { id: string }) => id).sort()

test('what agents of mistify are given is an active image of the Image API', async () => {
  const content = gzipSync(bytes(3_000_000))
  const source = await startSource((request, response) => sendContent(content, request, response))
  const server = await startMistify()
  const guest = (await fetchFrom(server, `${source.url}/debian%2012.zfs.gz`, { comment: 'A guest' })).body
  await hasStatus(server, guest.id, 'complete')
  const container = (await upload(server, bytes(10), { 'x-image-type': 'container' })).body
  const { body } = await call(server, 'GET', '/images', { anonymous: true })
  expect(body).toMatchObject([
    {
      uuid: guest.id,
      name: 'debian-2012',
      version: expect.stringMatching(/^\d{8}T\d{6}Z$/),
      state: 'active',
      public: true,
      type: 'zvol',
      os: 'other',
      description: 'A guest',
      files: [{ sha1: sha1(content), size: content.length, compression: 'gzip' }],
      image_size: 3,
      published_at: expect.any(String),
    },
    { uuid: container.id, name: 'mistify-container', type: 'other', os: 'linux', state: 'active' },
  ])
  const file = await send(`${server.url}/images/${guest.id}/file`, 'GET')
  expect(file.headers['content-md5']).toBe(md5(content))
  expect(await call(server, 'DELETE', `/images/${guest.id}`)).toMatchObject({ status: 204 })
  expect(await idsOf(server)).toEqual([container.id])
})

test('images of the Image API are there for agents if they can use them', async () => {
  const server = await startMistify()
  const guest = await publish(server, bytes(1000), { ...ZVOL, name: 'debian', version: '12', os: 'linux' })
  const container = await publish(server, bytes(10), { type: 'other', os: 'linux' })
  const [shown] = (await ask(server, 'GET', '/images?type=kvm')).body
  expect(shown).toMatchObject({
    id: guest.uuid,
    source: '',
    type: 'kvm',
    comment: 'debian 12',
    status: 'complete',
    size: 1000,
    expected_size: 1000,
  })
  expect(shown.download_start).toBe(shown.download_end)
  const useless = [
    await publish(server, bytes(10), { type: 'zone-dataset' }),
    await publish(server, bytes(10), { type: 'lx-dataset', os: 'linux' }),
    // Incremental: nothing that an agent could receive by itself.
    await publish(server, bytes(10), { ...ZVOL, origin: guest.uuid }),
    await create(server, ZVOL),
  ]
  const packed = await create(server, ZVOL)
  await addFile(server, packed.uuid, Buffer.from('BZh91AY&SY'), 'compression=bzip2')
  await call(server, 'POST', `/images/${packed.uuid}?action=activate`)
  expect(await idsOf(server)).toEqual([guest.uuid, container.uuid].sort())
  for (const { uuid } of [...useless, packed]) {
    expect((await ask(server, 'GET', `/images/${uuid}`)).status).toBe(404)
    expect((await ask(server, 'GET', `/images/${uuid}/download`)).status).toBe(404)
    expect((await ask(server, 'DELETE', `/images/${uuid}`)).status).toBe(404)
  }
})

test('a disabled image is not listed, but can be read by its id', async () => {
  const server = await startMistify()
  const { id } = (await upload(server, bytes(10))).body
  await call(server, 'POST', `/images/${id}?action=disable`)
  expect(await idsOf(server)).toEqual([])
  expect((await ask(server, 'GET', `/images/${id}/download`)).status).toBe(200)
})

test('an image that others are made from is not deleted', async () => {
  const server = await startMistify()
  const { id } = (await upload(server, bytes(10))).body
  await publish(server, bytes(10), { ...ZVOL, origin: id })
  const { status, body } = await ask(server, 'DELETE', `/images/${id}`)
  expect({ status, body }).toEqual({
    status: 422,
    body: { message: expect.stringContaining('dependent'), code: 422, stack: [expect.any(String)] },
  })
  expect(await idsOf(server)).toEqual([id])
})

test.each(['public', 'private', 'dc'])(
  'in mode %s too agents get what is brought here for them',
  async mode => {
    const server = await startMistify({ config: { mode } })
    const content = bytes(1000)
    const source = await startSource((request, response) => sendContent(content, request, response))
    const fetched = (await fetchFrom(server, source.url)).body
    await hasStatus(server, fetched.id, 'complete')
    const uploaded = (await upload(server, content, { 'x-image-type': 'container' })).body
    expect(await idsOf(server)).toEqual([fetched.id, uploaded.id].sort())
    for (const { id } of [fetched, uploaded]) {
      const { status, body } = await send(`${server.mistify.url}/images/${id}/download`, 'GET')
      expect({ status, isSame: body.equals(content) }).toEqual({ status: 200, isSame: true })
    }
  },
)

test('an image whose sender goes away, or whose digest is wrong, leaves nothing', async () => {
  const server = await startMistify()
  const { status, body } = await upload(server, bytes(10), { 'content-md5': md5(bytes(10)) })
  expect({ status, body }).toEqual({ status: 400, body: { message: expect.stringContaining('Content-MD5') } })
  const socket = connect(Number(new URL(server.mistify.url).port), '127.0.0.1')
  socket.write(
    `PUT /images HTTP/1.1\r\nHost: x\r\nX-Image-Type: kvm\r\nContent-Length: 100\r\n` +
      `Authorization: ${AUTH.authorization}\r\n\r\nsome`,
  )
  await new Promise<void>(resolve => socket.end(resolve))
  await server.stop()
  const again = await startMistify({ folder: server.folder })
  expect((await call(again, 'GET', '/images?state=all')).body).toEqual([])
})

describe('credentials', () => {
  const calls = async (server: MistifyServer, anonymous: boolean) => {
    const headers = { 'x-image-type': 'kvm' }
    const { id } = (await upload(server, bytes(10))).body
    const source = { source: 'http://127.0.0.1:9/', type: 'kvm' }
    return {
      list: (await ask(server, 'GET', '/images', { anonymous })).status,
      get: (await ask(server, 'GET', `/images/${id}`, { anonymous })).status,
      download: (await ask(server, 'GET', `/images/${id}/download`, { anonymous })).status,
      fetch: (await ask(server, 'POST', '/images', { anonymous, body: source })).status,
      upload: (await ask(server, 'PUT', '/images', { anonymous, body: bytes(10), headers })).status,
      delete: (await ask(server, 'DELETE', `/images/${id}`, { anonymous })).status,
    }
  }
  const start = (credentials?: string, config: object = {}) =>
    startMistify({ config: { ...config, ...(credentials && { gateways: { mistify: { credentials } } }) } })

  const reads = (status: number) => ({ list: status, get: status, download: status })
  const changes = (upload: number, fetch = upload) => ({ fetch, upload, delete: upload })

  test('are needed for changes, as everywhere', async () => {
    const server = await start()
    expect(await calls(server, true)).toEqual({ ...reads(200), ...changes(401) })
    expect(await calls(server, false)).toEqual({ ...reads(200), ...changes(200, 202) })
    const refused = await send(`${server.mistify.url}/images`, 'PUT', { headers: { 'x-image-type': 'kvm' } })
    expect(refused.headers['www-authenticate']).toBe('Basic realm="imgapi"')
  })

  test('are needed for reading too where the config says "all", or that reads need them', async () => {
    expect(await calls(await start('all'), true)).toEqual({ ...reads(401), ...changes(401) })
    const server = await start(undefined, { anonymous: 'none' })
    expect(await calls(server, true)).toEqual({ ...reads(401), ...changes(401) })
    expect(await calls(server, false)).toEqual({ ...reads(200), ...changes(200, 202) })
  })

  test('are needed for nothing where the config says "none", and wrong ones do no harm there', async () => {
    const server = await start('none')
    expect(await calls(server, true)).toEqual({ ...reads(200), ...changes(200, 202) })
    const headers = { authorization: 'Basic eDp5' }
    expect((await ask(server, 'GET', '/images', { headers })).status).toBe(200)
    expect((await call(server, 'POST', '/images', { anonymous: true, body: {} })).status).toBe(401)
  })

  test('that are wrong are refused, for reading too', async () => {
    const server = await start()
    const headers = { authorization: 'Basic eDp5' }
    const { status, body } = await ask(server, 'GET', '/images', { headers })
    expect({ status, body }).toEqual({
      status: 401,
      body: { message: 'Unauthorized', code: 401, stack: [expect.any(String)] },
    })
  })

  test('show what is not public, where strangers see public images alone', async () => {
    const server = await start(undefined, { anonymous: 'public' })
    const hidden = await publish(server, bytes(10), ZVOL)
    const { id } = (await upload(server, bytes(10))).body
    const strangers = await ask(server, 'GET', '/images', { anonymous: true })
    expect(strangers.body).toMatchObject([{ id }])
    const path = `/images/${hidden.uuid}/download`
    expect((await ask(server, 'GET', path, { anonymous: true })).status).toBe(404)
    expect((await ask(server, 'GET', path)).status).toBe(200)
    expect(await idsOf(server)).toEqual([hidden.uuid, id].sort())
  })
})
