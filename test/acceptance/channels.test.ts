import { expect, test } from 'vitest'
import { call, publish } from '../support/api.ts'
import { startServer, temporaryFolder } from '../support/server.ts'

/** Channels that come to a server, or go from it, when it has images already. */

const channels = [
  { name: 'dev', description: '' },
  { name: 'release', description: '', default: true },
]
const v2 = { headers: { 'accept-version': '*' } }

test('images from before there were channels are in the default one, and can be changed and moved', async () => {
  const folder = temporaryFolder()
  const plain = await startServer({ folder })
  const { uuid } = await publish(plain)
  await plain.stop()

  const server = await startServer({ folder, config: { channels } })
  const get = (query: string) => call(server, 'GET', `/images/${uuid}${query}`, v2)
  expect((await get('')).body.channels).toEqual(['release'])
  expect((await get('?channel=dev')).status).toBe(404)
  expect((await call(server, 'GET', '/images')).body).toHaveLength(1)
  expect((await call(server, 'GET', '/images?channel=dev')).body).toEqual([])

  const renamed = await call(server, 'POST', `/images/${uuid}?action=update`, {
    body: { name: 'renamed' },
    ...v2,
  })
  expect(renamed.text).toContain('renamed')
  const added = await call(server, 'POST', `/images/${uuid}?action=channel-add`, {
    body: { channel: 'dev' },
    ...v2,
  })
  expect(added.body.channels).toEqual(['release', 'dev'])
  await call(server, 'DELETE', `/images/${uuid}`)
  expect((await get('')).status).toBe(404)
  expect((await get('?channel=dev')).body.channels).toEqual(['dev'])
})

test('images that were in channels can be read, changed and deleted when the server has none any more', async () => {
  const folder = temporaryFolder()
  const before = await startServer({ folder, config: { channels } })
  const { uuid } = await publish(before)
  await call(before, 'POST', `/images/${uuid}?action=channel-add`, { body: { channel: 'dev' } })
  await before.stop()

  const server = await startServer({ folder })
  const shown = await call(server, 'GET', `/images/${uuid}?channel=dev`, v2)
  expect(shown.status).toBe(200)
  expect(shown.body).not.toHaveProperty('channels')
  const renamed = await call(server, 'POST', `/images/${uuid}?action=update`, { body: { name: 'renamed' } })
  expect(renamed.text).toContain('renamed')
  expect((await call(server, 'DELETE', `/images/${uuid}`)).status).toBe(204)
  expect((await call(server, 'GET', `/images/${uuid}`)).status).toBe(404)
})
