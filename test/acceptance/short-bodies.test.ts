import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { call, create } from '../support/api.ts'
import { sendRaw } from '../support/raw-http.ts'
import { AUTH, startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

/** Clients that end their side of the connection in the middle of a body, and wait for the answer. */

function sendHalf({ port }: TestServer, ...parts: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = ''
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('data', chunk => {
      received += chunk
      // The answer to a whole request before; what follows it is the half one.
      if (parts.length > 0) socket.end(parts.shift()!)
    })
    socket.on('close', () => resolve(received))
    socket.on('error', reject)
    const first = parts.shift()!
    if (parts.length > 0) socket.write(first)
    else socket.end(first)
  })
}

const head = (line: string, ...more: string[]) =>
  [`${line} HTTP/1.1`, 'Host: x', `Authorization: ${AUTH.authorization}`, ...more, '', ''].join('\r\n')

/** The last of the answers. */
function answerOf(received: string) {
  const [, status, rest = ''] = /^.*HTTP\/1\.1 (\d+) (.*)$/s.exec(received) ?? []
  return { status: Number(status), ...JSON.parse(rest.slice(rest.indexOf('\r\n\r\n'))) }
}

const LENGTH = 'Content-Length: 1000'
const SHORT =
  'the body ended early, before the 1000 bytes of its Content-Length had arrived: send it again, whole'

test('a file or icon that is cut short is answered with that reason, and changes nothing', async () => {
  const server = await startServer()
  const { uuid: id } = await create(server)
  const file = head(`PUT /images/${id}/file`, LENGTH)
  expect(answerOf(await sendHalf(server, `${file}hello`))).toEqual({
    ...{ status: 400, code: 'Upload', message: SHORT },
  })
  const chunked = head(`PUT /images/${(await create(server)).uuid}/file`, 'Transfer-Encoding: chunked')
  expect(answerOf(await sendHalf(server, `${chunked}5\r\nhello\r\n`))).toMatchObject({
    ...{ status: 400, code: 'Upload', message: expect.stringContaining('before its last chunk') },
  })
  const icon = head(`PUT /images/${id}/icon`, 'Content-Type: image/png', LENGTH)
  expect(answerOf(await sendHalf(server, `${icon}hello`)).message).toBe(SHORT)
  const image = (await call(server, 'GET', `/images/${id}`)).body
  expect(image).toMatchObject({ state: 'unactivated', files: [] })
  expect(image).not.toHaveProperty('icon')
  await until('the image can be uploaded to again', async () => {
    const { status } = await call(server, 'PUT', `/images/${id}/file`, { body: 'whole' })
    return status === 200
  })
})

test('so is a manifest, and a body on a connection that has had an answer already', async () => {
  const server = await startServer()
  const { uuid: id } = await create(server)
  const manifest = head('POST /images', LENGTH)
  expect(answerOf(await sendHalf(server, `${manifest}{`))).toEqual({
    ...{ status: 400, code: 'BadRequestError', message: SHORT },
  })
  const file = head(`PUT /images/${id}/file`, LENGTH)
  expect(answerOf(await sendHalf(server, head('GET /ping'), `${file}hello`)).message).toBe(SHORT)
  expect((await call(server, 'GET', '/images?state=all')).body).toHaveLength(1)
})

test('what is no request at all is still called that', async () => {
  const server = await startServer()
  expect(answerOf(await sendHalf(server, 'GET /images HTTP/1.1\r\nHo')).message).toContain(
    'not an HTTP request',
  )
})

test('a manifest that does not arrive in time is refused with that reason', async () => {
  const server = await startServer({ config: { stallTimeout: 1 } })
  const { status, body } = await sendRaw(server.port, `${head('POST /images', LENGTH)}{`)
  expect([status, JSON.parse(body)]).toEqual([
    400,
    { code: 'BadRequestError', message: 'the body did not arrive within 1 seconds' },
  ])
})
