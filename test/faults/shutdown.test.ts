import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { addFile, bytes, call, create, publish, sha1 } from '../support/api.ts'
import { namesIn } from '../support/folders.ts'
import { connectAndSay, startDownload, startUpload } from '../support/requests.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

/**
 * The default of `shutdownTimeout` is five minutes, longer than a test may take: what does not end before it fails
 * here by itself.
 */

/** More than all buffers between server and client take. */
const LARGE = 48 * 1024 * 1024

const begun = ({ datadir }: TestServer) =>
  until('an upload in flight', () => namesIn(join(datadir, '.tmp')).length > 0)

const isRefusing = (server: TestServer) =>
  until('new connections are refused', () =>
    connectAndSay(server, '').then(
      socket => {
        socket.destroy()
        return false
      },
      error => error.code === 'ECONNREFUSED',
    ),
  )

test('SIGTERM lets a download and an upload finish, takes no new ones, and the exit code is 0', async () => {
  const server = await startServer()
  const content = bytes(LARGE)
  const published = await publish(server, content)
  const { uuid } = await create(server)
  const file = bytes(2_000_000)
  const download = await startDownload(server, `/images/${published.uuid}/file`)
  const upload = startUpload(server, `/images/${uuid}/file`, file.length)
  await upload.send(file.subarray(0, 1_000_000))
  await begun(server)

  server.signal('SIGTERM')
  await isRefusing(server)
  await upload.send(file.subarray(1_000_000))
  upload.end()
  expect(await upload.answer).toMatchObject({ status: 200 })
  const hash = createHash('sha1')
  for await (const piece of download as AsyncIterable<Buffer>) hash.update(piece)
  expect(hash.digest('hex')).toBe(sha1(content))
  expect(await server.exited).toBe(0)
  expect(server.log().at(-1)?.msg).toBe('stopped')
  expect(namesIn(join(server.datadir, '.lock'))).toEqual([])

  const again = await startServer({ folder: server.folder })
  expect((await call(again, 'GET', `/images/${uuid}`)).body.files[0].sha1).toBe(sha1(file))
})

test('transfers that do not end are ended after shutdownTimeout, and nothing half-made stays', async () => {
  const server = await startServer({ config: { shutdownTimeout: 1 } })
  const { uuid } = await create(server)
  await addFile(server, uuid, bytes(1000))
  const published = await publish(server, bytes(LARGE))
  const download = await startDownload(server, `/images/${published.uuid}/file`)
  download.on('error', () => {})
  const upload = startUpload(server, `/images/${uuid}/file`, 1_000_000)
  await upload.send(bytes(5000))
  await begun(server)
  const started = performance.now()
  expect(await server.stop()).toBe(0)
  // It is waited for until then.
  expect(performance.now() - started).toBeGreaterThan(900)
  expect((await upload.answer).status).toBe(0)
  expect(namesIn(join(server.datadir, '.tmp'))).toEqual([])
  expect(namesIn(join(server.datadir, uuid))).toHaveLength(2)
})

test('connections on which nothing was asked do not delay the end', async () => {
  const server = await startServer()
  const words = ['', 'GET /pi', 'GET /ping HTTP/1.1\r\nHost: here\r\n\r\n']
  const sockets = await Promise.all(words.map(each => connectAndSay(server, each)))
  await new Promise(resolve => sockets[2]!.once('data', resolve))
  expect(await server.stop()).toBe(0)
  for (const socket of sockets) socket.destroy()
})

test('a second signal does not wait for transfers', async () => {
  const server = await startServer()
  const { uuid } = await create(server)
  const upload = startUpload(server, `/images/${uuid}/file`, 1_000_000)
  await upload.send(bytes(5000))
  await begun(server)
  server.signal('SIGTERM')
  await isRefusing(server)
  server.signal('SIGTERM')
  expect(await server.exited).toBe(1)
  upload.vanish()
})
