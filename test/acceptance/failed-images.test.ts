import { expect, test } from 'vitest'
import { addFile, bytes, call, create, manifest, publish, sha1, uuid } from '../support/api.ts'
import { needsOldClients } from '../support/old-clients.ts'
import { failureOf, sdcClient } from '../support/sdc-client.ts'
import { startServer, type TestServer } from '../support/server.ts'

/** Images that an operator marks as failed after they were active, as the reference's own tests do. */

const ERROR = { message: 'could not publish', code: 'Broken' }
const post = (server: TestServer, id: string, action: string, body?: unknown) =>
  call(server, 'POST', `/images/${id}?action=${action}`, { body })
const fail = (server: TestServer, id: string) => post(server, id, 'update', { state: 'failed', error: ERROR })

const uuidsOf = async (server: TestServer, query: string, anonymous = false) =>
  (await call(server, 'GET', `/images${query}`, { anonymous })).body.map(
    (image: { uuid: string }) => image.uuid,
  )

needsOldClients(
  'the datacenters’ client marks an active image as failed, sees the error, and its owner deletes it',
  async () => {
    const server = await startServer()
    const client = sdcClient(server)
    const owner = uuid()
    const { uuid: id } = await publish(server, bytes(100), { owner })
    const image = await client.updateImage(id, { state: 'failed', error: ERROR })
    expect(image).toMatchObject({ state: 'failed', error: ERROR })
    await client.deleteImage(id, owner)
    expect((await failureOf(client.getImage(id))).statusCode).toBe(404)
  },
)

test('it is listed as failed, and no more as active or to those who may not see it', async () => {
  const server = await startServer()
  const { uuid: id } = await publish(server)
  await fail(server, id)
  expect(await uuidsOf(server, '?state=failed')).toEqual([id])
  expect(await uuidsOf(server, '?state=all')).toEqual([id])
  for (const query of ['', '?state=active', '?state=disabled', '?state=unactivated']) {
    expect(await uuidsOf(server, query), query).toEqual([])
  }
  for (const query of ['', '?state=all', '?state=failed']) {
    expect(await uuidsOf(server, query, true), query).toEqual([])
  }
})

test('its file stays as it was and readable, and it is neither activated nor imported once more', async () => {
  const server = await startServer()
  const content = bytes(1000)
  const { uuid: id } = await publish(server, content)
  const { uuid: child } = await publish(server, bytes(10), { origin: id })
  await fail(server, id)
  expect((await post(server, id, 'activate')).body.code).toBe('ImageAlreadyActivated')
  const other = await call(server, 'PUT', `/images/${id}/file`, { body: bytes(10) })
  expect(other.body.code).toBe('ImageFilesImmutable')
  const again = await post(server, id, 'import', { v: 2, uuid: id, ...manifest() })
  expect({ status: again.status, code: again.body.code }).toEqual({
    ...{ status: 409, code: 'ImageUuidAlreadyExists' },
  })
  // What is installed may need its origin again.
  const file = await fetch(`${server.url}/images/${id}/file`)
  expect(sha1(new Uint8Array(await file.arrayBuffer()))).toBe(sha1(content))
  expect((await call(server, 'DELETE', `/images/${id}`)).body.code).toBe('ImageHasDependentImages')
  expect((await call(server, 'DELETE', `/images/${child}`)).status).toBe(204)
  expect((await call(server, 'DELETE', `/images/${id}`)).status).toBe(204)
})

test('enable and disable change its flag alone, and an update of the state takes the failure back', async () => {
  const server = await startServer()
  const { uuid: id, published_at } = await publish(server)
  await fail(server, id)
  expect((await post(server, id, 'disable')).body).toMatchObject({ state: 'failed', disabled: true })
  expect((await post(server, id, 'enable')).body).toMatchObject({ state: 'failed', disabled: false })
  expect((await post(server, id, 'update', { state: 'unactivated' })).body.code).toBe('ValidationFailed')
  const { body } = await post(server, id, 'update', { state: 'active' })
  expect(body).toMatchObject({ state: 'active', disabled: false, published_at })
  expect(body).not.toHaveProperty('error')
  expect(await uuidsOf(server, '', true)).toEqual([id])
})

test('a restart keeps all of that', async () => {
  const server = await startServer()
  const { uuid: id } = await publish(server)
  const { uuid: never } = await create(server)
  await addFile(server, never, bytes(10))
  await fail(server, id)
  await fail(server, never)
  const shown = (await call(server, 'GET', `/images/${id}`)).text
  await server.stop()
  const next = await startServer({ folder: server.folder })
  expect((await call(next, 'GET', `/images/${id}`)).text).toBe(shown)
  expect((await post(next, id, 'activate')).body.code).toBe('ImageAlreadyActivated')
  await post(next, id, 'update', { description: 'changed' })
  expect((await post(next, id, 'update', { state: 'disabled' })).body.state).toBe('disabled')
  // One that never was active is finished as ever.
  expect((await post(next, never, 'activate')).body.state).toBe('active')
})

test('only operators mark images as failed, and a failed one is not cloned', async () => {
  const server = await startServer({ config: { mode: 'dc' } })
  const [owner, account] = [uuid(), uuid()]
  const { uuid: id } = await publish(server, bytes(10), { owner, acl: [account] })
  const refused = await post(server, id, `update&account=${owner}`, { state: 'failed', error: ERROR })
  expect(refused.body.errors).toEqual(
    ['state', 'error'].map(field => ({
      ...{ field, code: 'NotAllowed', message: 'Can only be updated by operators' },
    })),
  )
  await fail(server, id)
  const clone = await call(server, 'POST', `/images/${id}/clone?account=${account}`)
  expect(clone.body).toMatchObject({ code: 'ValidationFailed', message: 'image is not active' })
})
