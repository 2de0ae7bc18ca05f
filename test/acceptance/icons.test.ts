import { expect, test } from 'vitest'
import { bytes, call, create, md5, publish, sha1, uuid } from '../support/api.ts'
import { json, type SendOptions, send } from '../support/http.ts'
import { AUTH, startServer, type TestServer } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'

/** Icons: what may be one, and what becomes of it. */

const sharedServer = shared(startServer)

const LIMIT = 128 * 1024

const put = (
  server: TestServer,
  id: string,
  body: SendOptions['body'],
  headers: Record<string, string> = {},
  query = '',
) =>
  send(`${server.url}/images/${id}/icon${query}`, 'PUT', {
    headers: { ...AUTH, 'content-type': 'image/png', ...headers },
    ...(body !== undefined && { body }),
  })

const get = (server: TestServer, id: string, headers: Record<string, string> = {}) =>
  send(`${server.url}/images/${id}/icon`, 'GET', { headers })

test('an icon of each type is kept with its type and digest, and anyone can read it', async () => {
  const server = await sharedServer()
  const { uuid: id } = await publish(server)
  for (const type of ['image/png', 'image/gif', 'image/jpeg']) {
    const icon = bytes(1000)
    const added = await put(server, id, icon, { 'content-type': type }, `?sha1=${sha1(icon)}`)
    expect([added.status, json(added).icon]).toEqual([200, true])
    const reply = await get(server, id)
    expect(reply.headers).toMatchObject({
      'content-type': type,
      'content-length': '1000',
      'content-md5': md5(icon),
      etag: `"${sha1(icon)}"`,
    })
    expect(reply.body.equals(icon)).toBe(true)
  }
})

test('other types, and none, are refused by name', async () => {
  const server = await sharedServer()
  const { uuid: id } = await create(server)
  for (const type of ['image/svg+xml', 'text/html', 'application/json', 'IMAGE']) {
    const reply = await put(server, id, bytes(10), { 'content-type': type })
    expect([reply.status, json(reply)]).toEqual([
      400,
      {
        code: 'Upload',
        message: `invalid content-type, ${type}, must be one of image/jpeg, image/gif, image/png`,
      },
    ])
  }
  const none = await send(`${server.url}/images/${id}/icon`, 'PUT', { headers: AUTH, body: bytes(10) })
  expect(json(none).code).toBe('Upload')
  expect((await call(server, 'GET', `/images/${id}`)).body).not.toHaveProperty('icon')
})

test('an icon may have exactly 128 KiB and not one byte more, announced or not', async () => {
  const server = await sharedServer()
  const { uuid: id } = await publish(server)
  const largest = bytes(LIMIT)
  expect((await put(server, id, largest)).status).toBe(200)
  expect((await get(server, id)).body.equals(largest)).toBe(true)

  const announced = await put(server, id, bytes(LIMIT + 1))
  expect([announced.status, json(announced)]).toEqual([
    400,
    {
      code: 'Upload',
      message: 'icon size 131073 (from Content-Length) exceeds the maximum allowed size, 128 KiB',
    },
  ])
  const chunked = { 'transfer-encoding': 'chunked' }
  const unannounced = await put(server, id, bytes(LIMIT + 1), chunked)
  expect([unannounced.status, json(unannounced)]).toEqual([
    400,
    { code: 'Upload', message: 'icon size exceeds the maximum allowed size, 128 KiB' },
  ])
  // The one that was there is still there.
  expect((await get(server, id)).body.equals(largest)).toBe(true)
  expect((await put(server, id, largest, chunked)).status).toBe(200)
})

test('an empty icon is refused and harms nothing', async () => {
  const server = await sharedServer()
  const { uuid: id } = await publish(server)
  for (const headers of [{ 'content-length': '0' }, { 'transfer-encoding': 'chunked' }]) {
    const reply = await put(server, id, Buffer.alloc(0), headers as Record<string, string>)
    expect([headers, reply.status, json(reply).code]).toEqual([headers, 400, 'Upload'])
  }
  expect((await call(server, 'GET', `/images/${id}`)).body).not.toHaveProperty('icon')
  expect((await get(server, id)).status).toBe(404)
})

test('an icon that is not what its sha1 or md5 says is refused and the earlier one stays', async () => {
  const server = await sharedServer()
  const { uuid: id } = await publish(server)
  const [icon, other] = [bytes(10), bytes(20)]
  await put(server, id, icon, { 'content-md5': md5(icon) })
  const wrongSha1 = await put(server, id, other, {}, `?sha1=${sha1(icon)}`)
  expect([wrongSha1.status, json(wrongSha1).code]).toEqual([400, 'Upload'])
  const wrongMd5 = await put(server, id, other, { 'content-md5': md5(icon) })
  expect([wrongMd5.status, json(wrongMd5).code]).toEqual([400, 'BadDigest'])
  expect((await get(server, id)).body.equals(icon)).toBe(true)
})

test('an icon is replaced by another of another type, and deleted once', async () => {
  const server = await sharedServer()
  const { uuid: id } = await publish(server)
  await put(server, id, bytes(10), { 'content-type': 'image/gif' })
  const second = bytes(20)
  await put(server, id, second, { 'content-type': 'image/jpeg' })
  const reply = await get(server, id)
  expect(reply.headers['content-type']).toBe('image/jpeg')
  expect(reply.body.equals(second)).toBe(true)

  const deleted = await call(server, 'DELETE', `/images/${id}/icon`)
  expect(deleted.status).toBe(200)
  expect(deleted.body).toMatchObject({ uuid: id })
  expect(deleted.body).not.toHaveProperty('icon')
  for (const method of ['GET', 'DELETE']) {
    const gone = await call(server, method, `/images/${id}/icon`)
    expect([gone.status, gone.body]).toEqual([
      404,
      { code: 'ResourceNotFound', message: `image "${id}" has no icon` },
    ])
  }
})

test('an icon knows conditions, ranges and HEAD as a file does', async () => {
  const server = await sharedServer()
  const { uuid: id } = await publish(server)
  const icon = bytes(1000)
  await put(server, id, icon)
  expect((await get(server, id, { 'if-none-match': `"${sha1(icon)}"` })).status).toBe(304)
  const range = await get(server, id, { range: 'bytes=-10' })
  expect([range.status, range.headers['content-range']]).toEqual([206, 'bytes 990-999/1000'])
  expect(range.body.equals(icon.subarray(990))).toBe(true)
  const head = await send(`${server.url}/images/${id}/icon`, 'HEAD')
  expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '1000', 0])
})

test('only the authenticated may add or delete an icon', async () => {
  const server = await sharedServer()
  const { uuid: id } = await publish(server)
  for (const method of ['PUT', 'DELETE']) {
    const reply = await send(`${server.url}/images/${id}/icon`, method, {
      headers: { 'content-type': 'image/png' },
      ...(method === 'PUT' && { body: bytes(10) }),
    })
    expect([method, reply.status]).toEqual([method, 401])
  }
  expect((await put(server, uuid(), bytes(10))).status).toBe(404)
})
