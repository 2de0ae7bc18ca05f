import { truncateSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import { addFile, bytes, call, create, md5, sha1, uuid } from '../support/api.ts'
import { curl } from '../support/curl.ts'
import { json, send } from '../support/http.ts'
import { RawConnection } from '../support/raw.ts'
import { AUTH, PASSWORD, startServer, type TestServer, temporaryFolder, USER } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'
import { until } from '../support/until.ts'

/** Files on their way in: digests, compressions, bodies of any length, and clients that give up. */

const sharedServer = shared(startServer)

const put = (server: TestServer, id: string, body: Uint8Array | Readable, query = '', headers = {}) =>
  send(`${server.url}/images/${id}/file?${query}`, 'PUT', { headers: { ...AUTH, ...headers }, body })

const filesOf = async (server: TestServer, id: string) =>
  (await call(server, 'GET', `/images/${id}`)).body.files

/** "hello world", as each tool leaves it. */
const COMPRESSED = {
  gzip: gzipSync('hello world\n'),
  bzip2: Buffer.from('QlpoOTFBWSZTWU7s6DYAAAJRgAAQQAAGRJCAIAAxBkxBAaeppYC7lDH4u5IpwoSCd2dBsA==', 'base64'),
  xz: Buffer.from(
    '/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQALaGVsbG8gd29ybGQKAKHy/8Rqf7/PAAEkDKYY2NgftvN9AQAAAAAEWVo=',
    'base64',
  ),
  none: Buffer.from('hello world\n'),
}
const COMPRESSIONS = Object.entries(COMPRESSED)

test('a chunked upload without a length is stored whole, small or large', async () => {
  const server = await sharedServer()
  for (const size of [1, 100_000, 10_000_000]) {
    const content = bytes(size)
    const { uuid: id } = await create(server)
    const body = Readable.from(
      (function* () {
        for (let at = 0; at < size; at += 65_000) yield content.subarray(at, at + 65_000)
      })(),
    )
    const reply = await put(server, id, body, 'compression=none', { 'transfer-encoding': 'chunked' })
    expect(reply.status).toBe(200)
    expect(json(reply).files).toEqual([{ sha1: sha1(content), size, compression: 'none' }])
    const download = await send(`${server.url}/images/${id}/file`, 'GET', { headers: AUTH })
    expect(download.body.equals(content)).toBe(true)
  }
})

test('a Content-MD5 that is right is accepted, and a wrong one refused with both in the message', async () => {
  const server = await sharedServer()
  for (const size of [1000, 3_000_000]) {
    const content = bytes(size)
    const { uuid: id } = await create(server)
    const wrong = md5(bytes(1))
    const refused = await put(server, id, content, 'compression=none', { 'content-md5': wrong })
    expect(refused.status).toBe(400)
    expect(json(refused)).toEqual({
      code: 'BadDigest',
      message: `Content-MD5 '${wrong}' didn't match '${md5(content)}'`,
    })
    expect(await filesOf(server, id)).toEqual([])
    const accepted = await put(server, id, content, 'compression=none', { 'content-md5': md5(content) })
    expect(json(accepted).files[0].sha1).toBe(sha1(content))
  }
})

test('a compression that is left out is read from the file', async () => {
  const server = await sharedServer()
  for (const [compression, content] of COMPRESSIONS) {
    const { uuid: id } = await create(server)
    expect(json(await put(server, id, content)).files[0].compression).toBe(compression)
  }
})

test('a file too short to tell is of no compression', async () => {
  const server = await sharedServer()
  for (const content of ['B', 'BZ', '\x1f', '\xfd7zXZ']) {
    const { uuid: id } = await create(server)
    const reply = await put(server, id, Buffer.from(content, 'latin1'))
    expect(json(reply).files[0]).toMatchObject({ compression: 'none', size: content.length })
  }
})

test('a compression that the file does not have is refused, and the message says which it has', async () => {
  const server = await sharedServer()
  for (const claimed of ['gzip', 'bzip2', 'xz']) {
    for (const [actual, content] of COMPRESSIONS) {
      const { uuid: id } = await create(server)
      const reply = await put(server, id, content, `compression=${claimed}`)
      if (claimed === actual) {
        expect(json(reply).files[0].compression).toBe(claimed)
        continue
      }
      expect([claimed, actual, reply.status]).toEqual([claimed, actual, 422])
      expect(json(reply)).toMatchObject({
        code: 'InvalidParameter',
        message: expect.stringContaining(`compression=${actual}`),
        errors: [{ field: 'compression', code: 'Invalid' }],
      })
      expect(await filesOf(server, id)).toEqual([])
    }
  }
})

test('a lie about the compression of a large file is found before all of it was sent', async () => {
  const server = await sharedServer()
  const { uuid: id } = await create(server)
  const connection = new RawConnection(server.port)
  connection.sendHead(
    `PUT /images/${id}/file?compression=gzip HTTP/1.1`,
    'Host: localhost',
    'Content-Length: 1000000000',
    `Authorization: ${AUTH.authorization}`,
  )
  connection.sendBody('certainly not gzip')
  const received = await connection.until(/"field": "compression"/)
  expect(received).toMatch(/^HTTP\/1\.1 422 /)
  connection.end()
})

test('the compression none accepts whatever it is given', async () => {
  const server = await sharedServer()
  for (const [, content] of COMPRESSIONS) {
    const { uuid: id } = await create(server)
    const [file] = (await addFile(server, id, content, 'compression=none')).files
    expect(file).toEqual({ sha1: sha1(content), size: content.length, compression: 'none' })
  }
})

test('a compression that does not exist is refused by name', async () => {
  const server = await sharedServer()
  const { uuid: id } = await create(server)
  expect(json(await put(server, id, bytes(10), 'compression=zip'))).toEqual({
    code: 'InvalidParameter',
    message: 'invalid compression "zip" (must be one of gzip, bzip2, xz, none)',
    errors: [{ field: 'compression', code: 'Invalid' }],
  })
})

test('an empty file is refused, with a length and without', async () => {
  const server = await sharedServer()
  const { uuid: id } = await create(server)
  for (const headers of [{ 'content-length': '0' }, { 'transfer-encoding': 'chunked' }]) {
    const reply = await put(server, id, Buffer.alloc(0), 'compression=none', headers)
    expect([headers, reply.status]).toEqual([headers, 400])
    expect(json(reply)).toEqual({
      code: 'Upload',
      message: 'image file size is 0 bytes, empty files are not allowed',
    })
  }
})

test('an upload that fails leaves the file that was there, and one that succeeds takes its place', async () => {
  const server = await sharedServer()
  const { uuid: id } = await create(server)
  const [first, second] = [bytes(1000), bytes(2000)]
  const kept = await addFile(server, id, first, `compression=none&dataset_guid=123`)
  expect((await put(server, id, second, `compression=none&sha1=${sha1(first)}`)).status).toBe(400)
  expect((await put(server, id, second, 'compression=xz')).status).toBe(422)
  expect(await filesOf(server, id)).toEqual(kept.files)
  const download = () => send(`${server.url}/images/${id}/file`, 'GET', { headers: AUTH })
  expect((await download()).body.equals(first)).toBe(true)

  const replaced = await addFile(server, id, second)
  expect(replaced.files).toEqual([{ sha1: sha1(second), size: 2000, compression: 'none' }])
  const reply = await download()
  expect(reply.headers['content-md5']).toBe(md5(second))
  expect(reply.body.equals(second)).toBe(true)
})

test('an upload whose client goes away changes nothing and can be repeated at once', async () => {
  const server = await sharedServer()
  const { uuid: id } = await create(server)
  const connection = new RawConnection(server.port)
  connection.sendHead(
    `PUT /images/${id}/file?compression=none HTTP/1.1`,
    'Host: localhost',
    'Content-Length: 1000000',
    `Authorization: ${AUTH.authorization}`,
  )
  connection.sendBody(bytes(1000))
  await until('the upload is under way', async () => {
    return (await put(server, id, bytes(10), 'compression=none')).status === 409
  }).finally(() => connection.end())
  await until('the upload is over', async () => {
    return (await put(server, id, bytes(10), 'compression=none')).status === 200
  })
  expect((await filesOf(server, id))[0].size).toBe(10)
})

test('the second of two uploads to an image is refused, and the first completes', async () => {
  const server = await sharedServer()
  const { uuid: id } = await create(server)
  const content = bytes(1000)
  const connection = new RawConnection(server.port)
  connection.sendHead(
    `PUT /images/${id}/file?compression=none HTTP/1.1`,
    'Host: localhost',
    'Content-Length: 1000',
    'Expect: 100-continue',
    `Authorization: ${AUTH.authorization}`,
  )
  await connection.until(/100 Continue/)
  const second = await put(server, id, bytes(10), 'compression=none')
  expect([second.status, json(second)]).toEqual([
    409,
    { code: 'Upload', message: `another upload to image ${id} is under way` },
  ])
  // Only that image is taken.
  await addFile(server, (await create(server)).uuid, bytes(10))
  connection.sendBody(content)
  expect(await connection.until(/"files"[\s\S]*\n}$/)).toContain(sha1(content))
  connection.end()
})

test('an upload that stalls is ended and says so', async () => {
  const server = await sharedServer({ config: { stallTimeout: 1 } })
  const { uuid: id } = await create(server)
  const connection = new RawConnection(server.port)
  connection.sendHead(
    `PUT /images/${id}/file?compression=none HTTP/1.1`,
    'Host: localhost',
    'Content-Length: 1000',
    `Authorization: ${AUTH.authorization}`,
  )
  connection.sendBody(bytes(10))
  const received = await connection.closed()
  expect(received).toMatch(/^HTTP\/1\.1 400 /)
  expect(received).toContain('no byte arrived for 1 seconds, after 10 bytes')
  expect(await filesOf(server, id)).toEqual([])
})

test('a file larger than the config allows is refused before it is sent, or as soon as it is too large', async () => {
  const server = await sharedServer({ config: { maxImageSize: 1000 } })
  const { uuid: id } = await create(server)
  const tooLarge = bytes(1001)
  const announced = await put(server, id, tooLarge, 'compression=none')
  expect(json(announced)).toEqual({
    code: 'Upload',
    message: 'image file size 1001 (from Content-Length) exceeds the maximum allowed size, 1000 bytes',
  })
  const chunked = await put(server, id, tooLarge, 'compression=none', { 'transfer-encoding': 'chunked' })
  expect(json(chunked)).toEqual({
    code: 'Upload',
    message: 'image file size exceeds the maximum allowed size, 1000 bytes',
  })
  expect((await put(server, id, bytes(1000), 'compression=none')).status).toBe(200)
})

test('a client that was refused early goes on with its next call', async () => {
  const server = await sharedServer()
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  for (let i = 0; i < 5; i++) {
    const refused = await send(`${server.url}/images/${uuid()}/file?compression=none`, 'PUT', {
      headers: AUTH,
      body: bytes(3_000_000),
      agent,
    })
    expect([refused.status, json(refused).code]).toEqual([404, 'ResourceNotFound'])
    expect((await send(`${server.url}/ping`, 'GET', { agent })).status).toBe(200)
  }
})

test('a client that sends all before it reads gets its refusal, on a connection for one request too', async () => {
  const server = await sharedServer()
  const { uuid: id } = await create(server)
  const requests: [line: string, login: string, status: number][] = [
    ['POST /images', AUTH.authorization, 413],
    [`PUT /images/${uuid()}/file?compression=none`, AUTH.authorization, 404],
    [`PUT /images/${id}/file?compression=gzip`, AUTH.authorization, 422],
    [`PUT /images/${id}/file?compression=none`, 'Basic bm9ib2R5Og==', 401],
  ]
  for (const [line, login, status] of requests) {
    const slices = Array.from({ length: 40 }, () => Buffer.alloc(50_000))
    const size = slices.length * 50_000
    const head = [`${line} HTTP/1.1`, 'Host: x', `Content-Length: ${size}`, `Authorization: ${login}`]
    const socket = connect(server.port, '127.0.0.1')
    socket.pause()
    socket.write(`${[...head, 'Connection: close'].join('\r\n')}\r\n\r\n`)
    for (const slice of slices) {
      await new Promise((resolve, reject) =>
        socket.write(slice, error => (error ? reject(error) : setTimeout(resolve, 5))),
      )
    }
    const answer = (await buffer(socket)).toString()
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*"message": [\\s\\S]*}$`))
  }
})

test('curl shows the error of an upload that is refused in the middle', async () => {
  const server = await sharedServer({ config: { maxImageSize: 100_000_000 } })
  const { uuid: id } = await create(server)
  const large = join(temporaryFolder(), 'large.zfs')
  writeFileSync(large, '')
  truncateSync(large, 300_000_000)
  const upload = async (query: string, ...args: string[]) => {
    const url = `${server.url}/images/${id}/file?${query}`
    const login = ['-u', `${USER}:${PASSWORD}`]
    const { exitCode, stdout } = await curl(...login, '--upload-file', large, ...args, url)
    return { exitCode, ...JSON.parse(stdout) }
  }
  const chunked = ['-H', 'Transfer-Encoding: chunked']
  for (let i = 0; i < 3; i++) {
    const lie = await upload('compression=gzip', ...chunked)
    expect(lie).toMatchObject({ exitCode: 0, code: 'InvalidParameter' })
    const tooLarge = await upload('compression=none', ...chunked)
    expect(tooLarge).toMatchObject({ exitCode: 0, code: 'Upload', message: expect.stringMatching(/exceeds/) })
  }
})
