import { expect, test } from 'vitest'
import { bytes, call, create, publish, sha1 } from '../support/api.ts'
import { startServer } from '../support/server.ts'

test('an image goes from created to active, can be disabled and enabled, and is gone when deleted', async () => {
  const server = await startServer()
  const content = bytes(3_000_000)
  const image = await publish(server, content)
  expect(image.state).toBe('active')
  expect(image.files).toEqual([{ sha1: sha1(content), size: content.length, compression: 'none' }])

  const disabled = await call(server, 'POST', `/images/${image.uuid}?action=disable`)
  expect(disabled.body).toMatchObject({ state: 'disabled', disabled: true })
  expect((await call(server, 'GET', '/images')).body).toEqual([])
  const enabled = await call(server, 'POST', `/images/${image.uuid}?action=enable`)
  expect(enabled.body).toMatchObject({ state: 'active', disabled: false })

  expect((await call(server, 'DELETE', `/images/${image.uuid}`)).status).toBe(204)
  expect((await call(server, 'GET', `/images/${image.uuid}`)).status).toBe(404)
})

test('an image that was never activated is there for the authenticated alone', async () => {
  const server = await startServer()
  const { uuid } = await create(server)
  expect((await call(server, 'GET', `/images/${uuid}`)).status).toBe(200)
  expect((await call(server, 'GET', `/images/${uuid}`, { anonymous: true })).status).toBe(404)
})
