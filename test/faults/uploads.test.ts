import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { addFile, bytes, call, create, sha1 } from '../support/api.ts'
import { namesIn, openFilesBelow } from '../support/folders.ts'
import { startUpload } from '../support/requests.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

const inFlight = ({ datadir }: TestServer) => namesIn(join(datadir, '.tmp'))
const begun = (server: TestServer) => until('an upload in flight', () => inFlight(server).length > 0)
const file = (uuid: string) => `/images/${uuid}/file?compression=none`

async function contentOf(server: TestServer, uuid: string) {
  const { status, body } = await call(server, 'GET', `/images/${uuid}`)
  return status === 200 ? body.files[0]?.sha1 : undefined
}

async function leavesNothing(server: TestServer, uuid: string, files: number) {
  await until('.tmp is empty', () => inFlight(server).length === 0)
  await until('no file is open', () => openFilesBelow(server.datadir, server.pid).length === 0)
  // The files and the manifest.
  expect(namesIn(join(server.datadir, uuid))).toHaveLength(files + 1)
}

test('a client that vanishes in the middle leaves the file before it and lets the next one in', async () => {
  const server = await startServer()
  const { uuid } = await create(server)
  const before = bytes(2000)
  await addFile(server, uuid, before)
  for (const sent of [0, 1000, 6_000_000]) {
    const upload = startUpload(server, file(uuid), 9_000_000)
    await upload.send(bytes(sent))
    await begun(server)
    upload.vanish()
    await leavesNothing(server, uuid, 1)
    expect(await contentOf(server, uuid)).toBe(sha1(before))
  }
  const after = bytes(3000)
  await addFile(server, uuid, after)
  expect(await contentOf(server, uuid)).toBe(sha1(after))
  await leavesNothing(server, uuid, 1)
})

test('the second of two uploads to one image is refused before its body is there and the first one completes', async () => {
  const server = await startServer()
  const { uuid } = await create(server)
  const content = bytes(2_000_000)
  const first = startUpload(server, file(uuid), content.length)
  await first.send(content.subarray(0, 1_000_000))
  await begun(server)
  for (const length of [1000, 50_000_000]) {
    const second = startUpload(server, file(uuid), length)
    // Refused before its body is there.
    expect(await second.answer).toMatchObject({
      status: 409,
      code: 'Upload',
      message: expect.stringContaining('under way'),
    })
    second.vanish()
  }
  const other = await create(server)
  await addFile(server, other.uuid, bytes(1000))
  await first.send(content.subarray(1_000_000))
  first.end()
  expect(await first.answer).toMatchObject({ status: 200 })
  expect(await contentOf(server, uuid)).toBe(sha1(content))
  await addFile(server, uuid, bytes(1000))
})

test('a client that vanishes is not in the way of the next one, not even for a moment', async () => {
  const server = await startServer()
  const { uuid } = await create(server)
  for (let round = 0; round < 10; round++) {
    const upload = startUpload(server, file(uuid), 50_000_000)
    await upload.send(bytes(4_000_000))
    await begun(server)
    upload.vanish()
    const content = bytes(1000 + round)
    await addFile(server, uuid, content)
    expect(await contentOf(server, uuid)).toBe(sha1(content))
    await leavesNothing(server, uuid, 1)
  }
})

test('a client that sends a byte now and then is waited for, longer than the timeout', async () => {
  const server = await startServer({ config: { stallTimeout: 2 } })
  const { uuid } = await create(server)
  const content = bytes(12)
  const upload = startUpload(server, file(uuid), content.length)
  for (const byte of content) {
    await upload.send(Buffer.from([byte]))
    await pause(250)
  }
  upload.end()
  expect(await upload.answer).toMatchObject({ status: 200 })
  expect(await contentOf(server, uuid)).toBe(sha1(content))
})

test('a client that stalls is told why it is given up, and others may go on', async () => {
  const server = await startServer({ config: { stallTimeout: 1 } })
  const { uuid } = await create(server)
  for (const length of [9_000_000, undefined]) {
    const upload = startUpload(server, file(uuid), length)
    await upload.send(bytes(5000))
    // The default is a minute.
    expect(await upload.answer).toMatchObject({
      status: 400,
      code: 'Upload',
      message: expect.stringContaining('no byte arrived for 1 seconds'),
    })
    await leavesNothing(server, uuid, 0)
    upload.vanish()
  }
  await addFile(server, uuid, bytes(1000))
})

test('a body that is shorter than promised changes nothing', async () => {
  const server = await startServer()
  const { uuid } = await create(server)
  const upload = startUpload(server, file(uuid), 1000)
  await upload.send(bytes(999))
  await begun(server)
  upload.request.socket!.end()
  const { status } = await upload.answer
  expect([0, 400]).toContain(status)
  await leavesNothing(server, uuid, 0)
  expect(await contentOf(server, uuid)).toBeUndefined()
})

test('what comes after a body of the promised length is not part of it', async () => {
  const server = await startServer()
  const { uuid } = await create(server)
  const content = bytes(1000)
  const upload = startUpload(server, file(uuid), content.length)
  await new Promise(resolve => upload.request.on('socket', resolve))
  await upload.send(content)
  upload.request.socket!.write('more than was promised\r\n\r\n')
  expect(await upload.answer).toMatchObject({ status: 200 })
  expect(await contentOf(server, uuid)).toBe(sha1(content))
  await leavesNothing(server, uuid, 1)
})

test('a chunked body that breaks off changes nothing, one that ends is taken', async () => {
  const server = await startServer()
  const { uuid } = await create(server)
  const broken = startUpload(server, file(uuid))
  await broken.send(bytes(5000))
  await begun(server)
  broken.vanish()
  await leavesNothing(server, uuid, 0)
  const content = bytes(5000)
  const whole = startUpload(server, file(uuid))
  await whole.send(content)
  whole.end()
  expect(await whole.answer).toMatchObject({ status: 200 })
  expect(await contentOf(server, uuid)).toBe(sha1(content))
})

test('an upload to an image that is activated meanwhile is refused, the activated file stays', async () => {
  const server = await startServer()
  const { uuid } = await create(server)
  const before = bytes(1000)
  await addFile(server, uuid, before)
  const upload = startUpload(server, file(uuid), 2000)
  await upload.send(bytes(1000))
  await begun(server)
  expect((await call(server, 'POST', `/images/${uuid}?action=activate`)).status).toBe(200)
  await upload.send(bytes(1000))
  upload.end()
  expect(await upload.answer).toMatchObject({ status: 422, code: 'ImageAlreadyActivated' })
  await leavesNothing(server, uuid, 1)
  expect(await contentOf(server, uuid)).toBe(sha1(before))
})

test('an upload to an image that is deleted meanwhile brings nothing back', async () => {
  const server = await startServer()
  const { uuid } = await create(server)
  const upload = startUpload(server, file(uuid), 2000)
  await upload.send(bytes(1000))
  await begun(server)
  expect((await call(server, 'DELETE', `/images/${uuid}`)).status).toBe(204)
  await upload.send(bytes(1000))
  upload.end()
  expect(await upload.answer).toMatchObject({ status: 404, code: 'ResourceNotFound' })
  await until('.tmp is empty', () => inFlight(server).length === 0)
  expect(namesIn(server.datadir).filter(name => !name.startsWith('.'))).toEqual([])
})

test('of an icon that is replaced and deleted by several clients at once no file is left over', async () => {
  const server = await startServer()
  const { uuid } = await create(server)
  const path = `/images/${uuid}/icon`
  const put = () => call(server, 'PUT', path, { headers: { 'content-type': 'image/png' }, body: bytes(500) })
  for (let round = 0; round < 10; round++) {
    await put()
    await Promise.all([put(), call(server, 'DELETE', path), put(), call(server, 'DELETE', path)])
  }
  await call(server, 'DELETE', path)
  await leavesNothing(server, uuid, 0)
})
