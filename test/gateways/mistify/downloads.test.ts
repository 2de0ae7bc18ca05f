import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { bytes, md5, publish, sha1 } from '../../support/api.ts'
import { send } from '../../support/http.ts'
import { fetchFrom, hasStatus, type MistifyServer, startMistify, upload } from '../../support/mistify.ts'
import { startServer } from '../../support/server.ts'
import { sendContent, startSource } from '../../support/source.ts'

/** The one call that the agents make, and what else can be done with a download. */

/** As mistify-agent-image and mistify-agent-docker do it: no credentials, and gunzip if the first 512 bytes say so. */
async function agentGets(server: MistifyServer, id: string): Promise<Buffer> {
  const reply = await send(`${server.mistify.url}/images/${id}/download`, 'GET')
  expect(reply.status).toBe(200)
  expect(reply.headers['content-type']).toBe('application/octet-stream')
  expect(reply.headers['content-length']).toBe(String(reply.body.length))
  const head = reply.body.subarray(0, 512)
  const isGzip = head[0] === 0x1f && head[1] === 0x8b && head[2] === 0x08
  return isGzip ? gunzipSync(reply.body) : reply.body
}

test('an agent gets an uploaded image, packed or not, byte for byte', async () => {
  const server = await startMistify()
  const content = bytes(3_000_000)
  for (const stored of [content, gzipSync(content)]) {
    const { body } = await upload(server, stored)
    expect((await agentGets(server, body.id)).equals(content)).toBe(true)
  }
})

test('an agent gets an image that was fetched, packed or not, byte for byte', async () => {
  const content = bytes(2_000_000)
  const packed = gzipSync(content)
  const source = await startSource((request, response) =>
    sendContent(request.url === '/packed' ? packed : content, request, response),
  )
  const server = await startMistify()
  for (const path of ['/packed', '/plain']) {
    const { id } = (await fetchFrom(server, source.url + path, { type: 'container' })).body
    await hasStatus(server, id, 'complete')
    expect((await agentGets(server, id)).equals(content)).toBe(true)
  }
})

test('an agent gets an image that was published through the Image API', async () => {
  const server = await startMistify()
  const content = bytes(1_000_000)
  const driver = { nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host', image_size: 10 }
  const { uuid } = await publish(server, content, { type: 'zvol', os: 'linux', ...driver })
  expect((await agentGets(server, uuid)).equals(content)).toBe(true)
})

test('a download tells its digests, goes on in the middle and is not sent again in vain', async () => {
  const server = await startMistify()
  const content = bytes(100_000)
  const { id } = (await upload(server, content)).body
  const url = `${server.mistify.url}/images/${id}/download`
  const whole = await send(url, 'GET')
  const etag = `"${sha1(content)}"`
  const digest = `sha=:${createHash('sha1').update(content).digest('base64')}:`
  expect(whole.headers).toMatchObject({
    etag,
    'accept-ranges': 'bytes',
    'content-md5': md5(content),
    'repr-digest': digest,
  })
  const rest = await send(url, 'GET', { headers: { range: 'bytes=40000-', 'if-range': etag } })
  expect(rest).toMatchObject({
    status: 206,
    headers: { 'content-range': 'bytes 40000-99999/100000', etag, 'repr-digest': digest },
  })
  expect(rest.body.equals(content.subarray(40_000))).toBe(true)
  const again = await send(url, 'GET', { headers: { 'if-none-match': etag } })
  expect({ status: again.status, size: again.body.length }).toEqual({ status: 304, size: 0 })
  const beyond = await send(url, 'GET', { headers: { range: 'bytes=100000-' } })
  expect(beyond).toMatchObject({ status: 416, headers: { 'content-range': 'bytes */100000' } })
  const changed = await send(url, 'GET', { headers: { 'if-match': '"other"' } })
  expect(changed.status).toBe(412)
})

test('a front sends the bytes below a prefix of the port that it is before, and nowhere else', async () => {
  const accel = { prefix: '/stored' }
  const own = await startMistify({ config: { accel } })
  const config = { accel, gateways: { mistify: { prefix: '/mistify' } } }
  const server = await startServer({ config })
  const below = { ...server, mistify: { url: `${server.url}/mistify` } }
  const download = async (at: MistifyServer) => {
    const { id } = (await upload(at, bytes(1000))).body
    return send(`${at.mistify.url}/images/${id}/download`, 'GET')
  }
  const whole = await download(own)
  expect({ size: whole.body.length, path: whole.headers['x-accel-redirect'] }).toEqual({ size: 1000 })
  const left = await download(below)
  expect(left.body.length).toBe(0)
  expect(left.headers['x-accel-redirect']).toMatch(/^\/stored\/[0-9a-f-]{36}\/image-[0-9a-f]{8}\.zfs$/)
})
