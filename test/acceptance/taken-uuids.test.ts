import { expect, test } from 'vitest'
import { bytes, call, create, manifest, publish, uuid } from '../support/api.ts'
import { askImport } from '../support/imports.ts'
import { startServer } from '../support/server.ts'
import { imgapi, remoteManifest, sendJson, startSource } from '../support/source.ts'

/** 409 ImageUuidAlreadyExists says what is there and what to do, to those who may see it. */

const startTaken = async (changes: Record<string, unknown>, config = {}) => {
  const image = remoteManifest(bytes(10), changes)
  const source = await startSource(imgapi([image], (_, response) => sendJson(response, 500, {})))
  const server = await startServer({
    config: { allowPrivateSources: true, imgapiUrlFromDatacenter: { there: source.url }, ...config },
  })
  return { server, source, image }
}

test('every way to import an image says in which state the one is that has its UUID', async () => {
  const { server, source, image } = await startTaken({})
  const body = { v: 2, uuid: image.uuid, ...manifest() }
  const path = `/images/${image.uuid}?action=import`
  await call(server, 'POST', path, { body })
  const state = 'it is unactivated and has no file: add its file and activate it, or delete it'
  const answers = [
    await call(server, 'POST', path, { body }),
    await call(server, 'POST', `${path}&source=${encodeURIComponent(source.url)}`),
    await askImport(server, image.uuid, source.url),
    await call(server, 'POST', `/images/${(await create(server)).uuid}?action=update`, {
      body: { uuid: image.uuid },
    }),
  ]
  for (const { status, body } of answers) {
    expect({ status, code: body.code }).toEqual({ status: 409, code: 'ImageUuidAlreadyExists' })
    expect(body.message).toContain(`image uuid "${image.uuid}" already exists: ${state}`)
  }
})

test('an account hears of the state of its own image, and of another’s only that the UUID is taken', async () => {
  const account = uuid()
  const { server, image } = await startTaken({ owner: account })
  const path = `/images/${image.uuid}?action=import`
  const ask = () =>
    call(
      server,
      'POST',
      `/images/${image.uuid}?action=import-from-datacenter&datacenter=there&account=${account}`,
    )
  for (const [owner, message] of [
    [uuid(), `image uuid "${image.uuid}" already exists`],
    [account, expect.stringContaining('already exists: it is unactivated and has no file')],
  ]) {
    const body = { v: 2, uuid: image.uuid, ...manifest({ owner }) }
    expect((await call(server, 'POST', path, { body })).status).toBe(200)
    const answer = await ask()
    expect({ status: answer.status, ...answer.body }).toEqual({
      ...{ status: 409, code: 'ImageUuidAlreadyExists', message },
    })
    await call(server, 'DELETE', `/images/${image.uuid}`)
  }
})

test('the reason of a failed image is part of it', async () => {
  const server = await startServer()
  const { uuid: id } = await publish(server)
  const failed = { state: 'failed', error: { message: 'disk on fire' } }
  await call(server, 'POST', `/images/${id}?action=update`, { body: failed })
  const { body } = await call(server, 'POST', `/images/${id}?action=import`, {
    body: { v: 2, uuid: id, ...manifest() },
  })
  expect(body.message).toBe(
    `image uuid "${id}" already exists: it is failed (disk on fire): delete it, and import it again`,
  )
})
