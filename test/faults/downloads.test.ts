import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { bytes, call, publish, sha1 } from '../support/api.ts'
import { openFilesBelow } from '../support/folders.ts'
import { connectAndSay, startDownload, untilClosed } from '../support/requests.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

/** More than all buffers between server and client take. */
const LARGE = 48 * 1024 * 1024

const nothingOpen = (server: TestServer) =>
  until('no file is open', () => openFilesBelow(server.datadir, server.pid).length === 0)

test('a client that vanishes in the middle of a download leaves nothing open', async () => {
  const server = await startServer()
  const { uuid } = await publish(server, bytes(LARGE))
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => startDownload(server, `/images/${uuid}/file`)),
  )
  await until('files are open', () => openFilesBelow(server.datadir, server.pid).length >= 10)
  for (const answer of answers) answer.on('error', () => {}).destroy()
  await nothingOpen(server)
  expect((await call(server, 'GET', '/ping')).status).toBe(200)
})

test('a client that takes no bytes any more is cut off after the timeout', async () => {
  const server = await startServer({ config: { stallTimeout: 1 } })
  const { uuid } = await publish(server, bytes(LARGE))
  const answer = await startDownload(server, `/images/${uuid}/file`)
  answer.on('error', () => {})
  await until('the file is open', () => openFilesBelow(server.datadir, server.pid).length > 0)
  await nothingOpen(server)
  let received = 0
  const ended = new Promise<void>(resolve => answer.on('close', () => resolve()))
  answer.on('data', (chunk: Buffer) => {
    received += chunk.length
  })
  await ended
  expect(received).toBeLessThan(LARGE)
  expect(answer.complete).toBe(false)
})

test('slow readers get their own bytes, whatever others are reading at the same time', async () => {
  const server = await startServer()
  const contents = Array.from({ length: 3 }, () => bytes(LARGE / 3))
  const images = await Promise.all(contents.map(content => publish(server, content)))
  let isSlow = true
  const read = async (index: number, isSlowReader: boolean) => {
    const answer = await startDownload(server, `/images/${images[index]!.uuid}/file`)
    const pieces: Buffer[] = []
    for await (const piece of answer as AsyncIterable<Buffer>) {
      pieces.push(piece)
      if (isSlowReader) await pause(1)
    }
    expect(sha1(Buffer.concat(pieces))).toBe(sha1(contents[index]!))
  }
  const quick = async (index: number) => {
    while (isSlow) await read(index, false)
  }
  const others = [quick(1), quick(2)]
  await Promise.all([read(0, true), read(0, true), read(1, true)])
  isSlow = false
  await Promise.all(others)
  await nothingOpen(server)
})

test('headers that do not arrive are not waited for', async () => {
  const server = await startServer({ config: { stallTimeout: 1 } })
  const words = ['', 'GET /imag', 'GET /ping HTTP/1.1\r\nHost: here\r\nX-Slow: a']
  const answers = await Promise.all(
    words.map(async each => {
      const socket = await connectAndSay(server, each)
      const drip = setInterval(() => each && socket.write('a'), 200)
      const text = await untilClosed(socket)
      clearInterval(drip)
      return text
    }),
  )
  for (const answer of answers) {
    expect(answer).toMatch(/^HTTP\/1.1 408 [\s\S]*"message": "the request's headers did not arrive in time"/)
  }
})
