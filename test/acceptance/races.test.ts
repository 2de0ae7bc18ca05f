import { readdirSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { addFile, bytes, call, create, publish, uuid } from '../support/api.ts'
import { AUTH, startServer } from '../support/server.ts'

/** What may happen at the same time, with one winner (reference contract, 4.1). */

test('an image cannot become the origin of another while it is deleted', async () => {
  const server = await startServer()
  for (let round = 0; round < 30; round++) {
    const [origin, image] = await Promise.all([create(server), create(server)])
    const update = () =>
      call(server, 'POST', `/images/${image.uuid}?action=update`, { body: { origin: origin.uuid } })
    const remove = () => call(server, 'DELETE', `/images/${origin.uuid}`)
    const [updated, removed] = await Promise.all([update(), remove()])
    expect([
      [200, 422],
      [422, 204],
    ]).toContainEqual([updated.status, removed.status])
  }
})

test('a file, an icon or a clone of an image that is deleted meanwhile is not found, or whole', async () => {
  const account = uuid()
  const server = await startServer({ config: { mode: 'dc', adminUuid: uuid() } })
  const content = bytes(1000)
  for (let round = 0; round < 15; round++) {
    const image = await publish(server, content, { acl: [account] })
    const path = `/images/${image.uuid}`
    await call(server, 'PUT', `${path}/icon`, { headers: { 'content-type': 'image/png' }, body: content })
    const reads = ['file', 'icon', 'file', 'icon', 'file'].map(what => call(server, 'GET', `${path}/${what}`))
    const clones = [1, 2, 3].map(() => call(server, 'POST', `${path}/clone?account=${account}`))
    const removed = call(server, 'DELETE', path)
    for (const { status, text } of await Promise.all([...reads, ...clones])) {
      expect([200, 404], text).toContain(status)
    }
    expect((await removed).status).toBe(204)
  }
  // A clone that failed leaves nothing.
  for (const { state } of (await call(server, 'GET', '/images?state=all')).body) expect(state).toBe('active')
})

test('an upload ends with ImageAlreadyActivated if the image is activated while it runs', async () => {
  const server = await startServer()
  const { uuid } = await create(server)
  const { files } = await addFile(server, uuid, bytes(10))
  const upload = request(`${server.url}/images/${uuid}/file`, { method: 'PUT', headers: AUTH })
  const answered = new Promise<{ status: number; text: string }>((resolve, reject) => {
    upload.on('error', reject)
    upload.on('response', async response => {
      let text = ''
      for await (const chunk of response) text += chunk
      resolve({ status: response.statusCode!, text })
    })
  })
  upload.write(bytes(100_000))
  const arriving = () => readdirSync(join(server.datadir, '.tmp')).length
  await expect.poll(arriving).toBeGreaterThan(0)
  expect((await call(server, 'POST', `/images/${uuid}?action=activate`)).status).toBe(200)
  upload.end(bytes(10))
  const { status, text } = await answered
  expect(status).toBe(422)
  expect(JSON.parse(text)).toEqual({
    code: 'ImageAlreadyActivated',
    message: `image "${uuid}" is already activated`,
  })
  expect((await call(server, 'GET', `/images/${uuid}`)).body).toMatchObject({ state: 'active', files })
})
