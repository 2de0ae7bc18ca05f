import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { addFile, bytes, call, create, md5, publish, sha1 } from '../support/api.ts'
import { hasNginx, startNginx } from '../support/nginx.ts'
import { allRequire } from '../support/programs.ts'
import { AUTH, startServer } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'

/** Files sent by a front that is told which, with a real nginx as support-files/nginx-accel.conf sets it up. */

const PREFIX = '/stored-images'

const backendWith = (config: Record<string, unknown> = {}) => ({
  config: { accel: { prefix: PREFIX }, ...config },
})
const startBackend = () => startServer(backendWith())
const sharedServer = shared(startServer)
const sharedBackend = (config?: Record<string, unknown>) => sharedServer(backendWith(config))

const get = async (url: string, headers: Record<string, string> = {}, method = 'GET') => {
  const response = await fetch(url, { headers, method })
  return {
    status: response.status,
    headers: response.headers,
    bytes: Buffer.from(await response.arrayBuffer()),
  }
}

/** As if another program had put the image there: no bookkeeping of ours, and a name of its own. */
function renameImageFile(folder: string, name: string) {
  const path = join(folder, 'manifest.json')
  const { _imgapi: bookkeeping, ...manifest } = JSON.parse(readFileSync(path, 'utf8'))
  writeFileSync(path, JSON.stringify(manifest))
  renameSync(join(folder, bookkeeping.files[0].name), join(folder, name))
}

describe('towards the front', () => {
  test('a file is a header that names it and an empty body, in whichever header the config names', async () => {
    const server = await sharedBackend({ accel: { header: 'X-Sendfile', prefix: '/a/b' } })
    const image = await publish(server)
    const [name] = readdirSync(join(server.datadir, image.uuid)).filter(entry => entry !== 'manifest.json')
    const answer = await get(`${server.url}/images/${image.uuid}/file`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-sendfile')).toBe(`/a/b/${image.uuid}/${name}`)
    expect(answer.headers.get('content-length')).toBe('0')
    expect(answer.bytes).toHaveLength(0)
  })

  test('without accel in the config no answer has such a header', async () => {
    const server = await sharedServer()
    const image = await publish(server)
    const answer = await get(`${server.url}/images/${image.uuid}/file`)
    expect(answer.headers.get('x-accel-redirect')).toBeNull()
    expect(answer.bytes).toHaveLength(1000)
  })

  test.each([
    ['a condition that holds', { 'if-none-match': '"other"' }, 200],
    ['a guarded range', { range: 'bytes=0-9', 'if-range': '"other"' }, 200],
    ['several ranges', { range: 'bytes=0-9,20-29' }, 200],
    ['a range that is none', { range: 'bytes=x' }, 200],
  ] as [string, Record<string, string>, number][])(
    'what nginx would judge otherwise is answered here: %s',
    async (_, headers, status) => {
      const server = await sharedBackend()
      const content = bytes(1000)
      const image = await publish(server, content)
      const answer = await get(`${server.url}/images/${image.uuid}/file`, headers)
      expect(answer.status).toBe(status)
      expect(answer.headers.get('x-accel-redirect')).toBeNull()
      expect(answer.bytes).toEqual(Buffer.from(content))
    },
  )

  test('a file that is missing on the disk is 503 StorageIsDown, not left to the front', async () => {
    const server = await sharedBackend()
    const image = await publish(server)
    for (const name of readdirSync(join(server.datadir, image.uuid))) {
      if (name !== 'manifest.json') rmSync(join(server.datadir, image.uuid, name))
    }
    const answer = await call(server, 'GET', `/images/${image.uuid}/file`)
    expect(answer).toMatchObject({ status: 503, body: { code: 'StorageIsDown' } })
    expect(answer.headers.get('x-accel-redirect')).toBeNull()
  })
})

describe('through nginx', () => {
  allRequire(hasNginx, 'nginx is not installed: apt-get install nginx-light')

  test('a file comes whole, with our headers and its length, and is in our log once', async () => {
    const server = await sharedBackend()
    const content = bytes(3_000_000)
    const image = await publish(server, content)
    const direct = await get(`${server.url}/images/${image.uuid}/file`, { 'if-none-match': '"other"' })
    const nginx = await startNginx(server)
    const path = `/images/${image.uuid}/file`
    const answer = await get(nginx.url + path, { 'x-request-id': 'one-download' })
    expect(answer.status).toBe(200)
    expect(sha1(answer.bytes)).toBe(sha1(content))
    expect(answer.headers.get('content-length')).toBe('3000000')
    expect(answer.headers.get('content-md5')).toBe(md5(content))
    expect(answer.headers.get('etag')).toBe(`"${sha1(content)}"`)
    expect(answer.headers.get('x-request-id')).toBe('one-download')
    for (const name of ['etag', 'last-modified', 'content-type', 'content-disposition', 'accept-ranges']) {
      expect(answer.headers.get(name), name).toBe(direct.headers.get(name))
    }
    for (const name of ['x-accel-redirect', 'transfer-encoding']) expect(answer.headers.get(name)).toBeNull()
    const logged = () => server.log().filter(entry => entry.req_id === 'one-download')
    await expect.poll(logged).toMatchObject([{ route: 'GetImageFile', res: { statusCode: 200 } }])
  })

  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=1000-1999', 1000, 2000],
    ['bytes=2999990-', 2_999_990, 3_000_000],
    ['bytes=-500', 2_999_500, 3_000_000],
    ['bytes=2999000-9999999', 2_999_000, 3_000_000],
  ])('the range %s is the same bytes as without nginx', async (range, start, end) => {
    const server = await sharedBackend()
    const content = bytes(3_000_000)
    const image = await publish(server, content)
    const nginx = await startNginx(server)
    const answer = await get(`${nginx.url}/images/${image.uuid}/file`, { range })
    expect(answer.status).toBe(206)
    expect(answer.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/3000000`)
    expect(answer.headers.get('content-length')).toBe(String(end - start))
    expect(answer.headers.get('content-md5')).toBeNull()
    expect(answer.bytes).toEqual(Buffer.from(content.subarray(start, end)))
  })

  test('a range outside of the file is 416 in JSON', async () => {
    const server = await sharedBackend()
    const image = await publish(server)
    const nginx = await startNginx(server)
    const answer = await call(nginx, 'GET', `/images/${image.uuid}/file`, {
      headers: { range: 'bytes=1000-' },
    })
    expect(answer.status).toBe(416)
    expect(answer.headers.get('content-range')).toBe('bytes */1000')
    expect(answer.body.message).toContain('1000 bytes')
  })

  test('conditions are judged by our ETag: unchanged is 304, changed comes whole, If-Match holds', async () => {
    const server = await sharedBackend()
    const content = bytes(50_000)
    const image = await publish(server, content)
    const url = `${(await startNginx(server)).url}/images/${image.uuid}/file`
    const etag = (await get(url)).headers.get('etag')!
    expect((await get(url, { 'if-none-match': etag })).status).toBe(304)
    expect((await get(url, { 'if-none-match': '"other"' })).bytes).toEqual(Buffer.from(content))
    expect((await get(url, { 'if-match': etag })).bytes).toEqual(Buffer.from(content))
    expect((await get(url, { 'if-match': '"other"' })).status).toBe(412)
    const rest = await get(url, { range: 'bytes=40000-', 'if-range': etag })
    expect(rest.status).toBe(206)
    expect(rest.bytes).toEqual(Buffer.from(content.subarray(40_000)))
  })

  test('HEAD has the headers of GET and no body', async () => {
    const server = await sharedBackend()
    const image = await publish(server, bytes(50_000))
    const url = `${(await startNginx(server)).url}/images/${image.uuid}/file`
    const head = await get(url, {}, 'HEAD')
    const { headers } = await get(url)
    expect(head.status).toBe(200)
    expect(head.bytes).toHaveLength(0)
    expect(head.headers.get('content-length')).toBe('50000')
    const names = [
      'content-type',
      'content-md5',
      'content-disposition',
      'etag',
      'last-modified',
      'accept-ranges',
    ]
    for (const name of names) expect(head.headers.get(name), name).toBe(headers.get(name))
  })

  test('a client that may not read an image gets no byte of it, nor by the path behind nginx', async () => {
    const server = await sharedBackend({ anonymous: 'public' })
    const secret = await publish(server, bytes(1000), { public: false })
    const shown = await publish(server, bytes(1000), { public: true })
    const draft = await create(server)
    await addFile(server, draft.uuid, bytes(1000))
    const nginx = await startNginx(server)
    const file = (uuid: string, options = {}) => call(nginx, 'GET', `/images/${uuid}/file`, options)
    for (const { uuid } of [secret, draft]) {
      const refused = await file(uuid, { anonymous: true })
      expect(refused).toMatchObject({ status: 404, body: { code: 'ResourceNotFound' } })
    }
    expect(
      (await file(secret.uuid, { anonymous: true, headers: { authorization: 'Basic eDp5' } })).status,
    ).toBe(401)
    expect((await file(secret.uuid)).status).toBe(200)
    expect((await file(shown.uuid, { anonymous: true })).status).toBe(200)
    for (const name of readdirSync(join(server.datadir, secret.uuid))) {
      for (const path of [`${PREFIX}/${secret.uuid}/${name}`, `/x/..${PREFIX}/${secret.uuid}/${name}`]) {
        expect((await get(nginx.url + path, AUTH)).status).toBe(404)
      }
    }
  })

  test('a client cannot have nginx send a file by sending the header itself', async () => {
    const server = await sharedBackend()
    const draft = await create(server)
    const nginx = await startNginx(server)
    const headers = { 'x-accel-redirect': `${PREFIX}/${draft.uuid}/manifest.json` }
    const answer = await call(nginx, 'GET', '/ping', { anonymous: true, headers })
    expect(answer.body).toMatchObject({ ping: 'pong' })
  })

  test('an image is made, filled with more than nginx takes by default, activated and listed', async () => {
    const server = await startBackend()
    const nginx = await startNginx(server)
    const content = bytes(20_000_000)
    const image = await publish({ ...server, url: nginx.url }, content)
    expect(image.files).toEqual([{ sha1: sha1(content), size: content.length, compression: 'none' }])
    const list = await call(nginx, 'GET', '/images', {
      anonymous: true,
      headers: { 'accept-encoding': 'identity' },
    })
    expect(list.body).toEqual([image])
    expect(list.headers.get('content-length')).toBe(String(Buffer.byteLength(list.text)))
    expect(sha1((await get(`${nginx.url}/images/${image.uuid}/file`)).bytes)).toBe(sha1(content))
  })

  test('an icon comes with its type and length', async () => {
    const server = await sharedBackend()
    const { uuid } = await publish(server)
    const icon = bytes(5000)
    const headers = { 'content-type': 'image/png' }
    expect((await call(server, 'PUT', `/images/${uuid}/icon`, { body: icon, headers })).status).toBe(200)
    const nginx = await startNginx(server)
    const answer = await get(`${nginx.url}/images/${uuid}/icon`)
    expect(answer.bytes).toEqual(icon)
    expect(answer.headers.get('content-type')).toBe('image/png')
    expect(answer.headers.get('content-length')).toBe('5000')
  })

  test('the name of an adopted file may be any', async () => {
    const server = await startBackend()
    const content = bytes(1000)
    const image = await publish(server, content)
    await server.stop()
    const folder = join(server.datadir, image.uuid)
    renameImageFile(folder, 'my image (1)%20?#.zfs')
    const again = await startServer({ folder: server.folder, ...backendWith() })
    const nginx = await startNginx(again)
    const answer = await get(`${nginx.url}/images/${image.uuid}/file`)
    expect(answer.bytes).toEqual(Buffer.from(content))
  })
})
