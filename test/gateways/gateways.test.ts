import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { bytes, call } from '../support/api.ts'
import { selfSigned } from '../support/certificate.ts'
import { send } from '../support/http.ts'
import { portOf, startMistify, upload } from '../support/mistify.ts'
import { needsAll } from '../support/programs.ts'
import { rawRequest, sendRaw } from '../support/raw-http.ts'
import { run } from '../support/run.ts'
import { startServer } from '../support/server.ts'

/** Where gateways are reached, shown by one of them. */

test('a gateway is off unless the config names it', async () => {
  const server = await startServer()
  expect((await call(server, 'GET', '/state')).body.gateways).toEqual({})
  expect(server.log().filter(({ gateway }) => gateway !== undefined)).toEqual([])
})

test('a gateway has a port of its own, where the Image API is not', async () => {
  const server = await startMistify()
  expect((await call(server, 'GET', '/state')).body.gateways).toEqual({ mistify: 'ok' })
  expect(await call(server.mistify, 'GET', '/ping')).toMatchObject({ status: 404 })
  expect(await call(server, 'GET', '/ping')).toMatchObject({ status: 200 })
})

test('or it is below a prefix, and the rest of the port is as it was', async () => {
  const server = await startServer({ config: { gateways: { mistify: { prefix: '/v1/mistify' } } } })
  const mistify = { ...server, mistify: { url: `${server.url}/v1/mistify` } }
  const { status, body } = await upload(mistify, bytes(100))
  expect(status).toBe(200)
  expect((await call(mistify.mistify, 'GET', '/images')).body).toEqual([body])
  const download = await send(`${mistify.mistify.url}/images/${body.id}/download`, 'GET')
  expect({ status: download.status, size: download.body.length }).toEqual({ status: 200, size: 100 })
  expect((await send(`${mistify.mistify.url}/images/`, 'GET')).headers.location).toBe('/v1/mistify/images')
  expect((await call(server, 'GET', '/images')).body).toMatchObject([{ uuid: body.id }])
  const beside = ['/v1', '/v1/mistify2/images', '/v1/mistifyimages']
  for (const path of beside) {
    expect((await call(server, 'GET', path)).body).toMatchObject({ code: 'ResourceNotFound' })
  }
  // The path as it was sent counts: nothing in it leads out again.
  for (const path of ['/v1/mistify', '/v1/mistify/', '/v1/mistify/../../images']) {
    const answer = await sendRaw(server.port, rawRequest(`GET ${path}`))
    expect({ status: answer.status, body: JSON.parse(answer.body) }).toMatchObject({
      status: 404,
      body: { message: 'page not found', code: 404 },
    })
  }
})

test('its requests are in the log like all others, and have an id', async () => {
  const server = await startMistify()
  const headers = { 'x-request-id': 'e2b3' }
  const reply = await send(`${server.mistify.url}/images`, 'GET', { headers })
  expect(reply.headers).toMatchObject({ 'x-request-id': 'e2b3', server: expect.stringContaining('imgapi/') })
  await server.stop()
  const [entry] = server.log().filter(({ req_id }) => req_id === 'e2b3')
  expect(entry).toMatchObject({ route: 'Mistify.ListImages', res: { statusCode: 200 } })
})

test('a port that it cannot have is told, and the server does not start', async () => {
  const taken = createServer()
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void taken.close())
  const { port } = taken.address() as { port: number }
  await expect(startServer({ config: { gateways: { mistify: { port } } } })).rejects.toThrow(
    /gateways\.mistify: cannot listen on 127\.0\.0\.1, port \d+: .*EADDRINUSE/,
  )
})

test('a prefix where the Image API is is told, and the server does not start', async () => {
  await expect(
    startServer({ config: { gateways: { mistify: { prefix: '/images/mistify' } } } }),
  ).rejects.toThrow(/gateways\.mistify\.prefix: \/images\/mistify is taken by the Image API/)
})

test('a server whose channels have no default one cannot have a gateway that knows no channels', async () => {
  const config = { channels: [{ name: 'dev' }], gateways: { mistify: { port: 0 } } }
  await expect(startServer({ config })).rejects.toThrow(/gateways\.mistify: .*no default channel/)
})

test('on a server with channels it has the images of the default one', async () => {
  const channels = [{ name: 'release', default: true }, { name: 'dev' }]
  const server = await startMistify({ config: { channels } })
  const { id } = (await upload(server, bytes(10))).body
  const headers = { 'accept-version': '~2' }
  const image = (await call(server, 'GET', `/images/${id}`, { headers })).body
  expect(image.channels).toEqual(['release'])
  expect((await call(server.mistify, 'GET', '/images')).body).toMatchObject([{ id }])
})

needsAll({ openssl: 'openssl', curl: 'curl' })(
  'it speaks HTTPS at its own port where it says so',
  async () => {
    const tls = selfSigned()
    const server = await startServer({ config: { tls, gateways: { mistify: { port: 0, tls: true } } } })
    const url = `https://127.0.0.1:${await portOf(server)}/images`
    const { code, stdout } = await run('curl', ['-sf', '--cacert', tls.cert, url])
    expect({ code, stdout }).toEqual({ code: 0, stdout: '[]' })
  },
)

test('HTTPS without a certificate of the server is told, and the server does not start', async () => {
  await expect(startServer({ config: { gateways: { mistify: { port: 0, tls: true } } } })).rejects.toThrow(
    /gateways\.mistify\.tls: the server has no certificate/,
  )
})

test.each([
  [{ mistify: {} }, 'gateways.mistify: found an object, expected either "port" or "prefix"'],
  [
    { mistify: { port: 1, prefix: '/a' } },
    'gateways.mistify: found an object, expected either "port" or "prefix"',
  ],
  [{ mistify: { port: 'x' } }, 'gateways.mistify.port: found "x", expected a whole number from 0 to 65535'],
  [
    { mistify: { prefix: 'mistify' } },
    'gateways.mistify.prefix: found "mistify", expected a path such as "/stored-images"',
  ],
  [{ mistify: { port: 1, colour: 2 } }, 'gateways.mistify.colour: unknown key'],
  [{ nobody: {} }, 'gateways.nobody: unknown key'],
])('the settings %j are refused', (gateways, problem) => {
  expect(() => parseConfig({ datadir: '/images', gateways }, 'FILE')).toThrow(`FILE: ${problem}`)
})
