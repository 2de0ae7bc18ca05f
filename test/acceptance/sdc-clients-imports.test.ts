import { expect, test } from 'vitest'
import { bytes, call, create, publish, sha1, uuid } from '../support/api.ts'
import { startImporter } from '../support/imports.ts'
import { allNeedOldClients } from '../support/old-clients.ts'
import { failureOf, sdcClient } from '../support/sdc-client.ts'
import { startServer } from '../support/server.ts'

/** The imports of the real client library, which waits for jobs as the operators' tools do. */

allNeedOldClients()

const OWNER = '0b0e2000-0000-4000-8000-000000000001'
const FRIEND = 'f21e2d00-0000-4000-8000-000000000002'
const MODES = ['standalone', 'public', 'private', 'dc'] as const

async function start(mode: string) {
  const server = await startImporter({ config: { mode } })
  return { server, client: sdcClient(server) }
}

test('remote images come with their origins, for clients that wait for the job, in every mode', async () => {
  const source = await startServer()
  const importInto = async (mode: (typeof MODES)[number]) => {
    const fields = { owner: OWNER, public: mode !== 'private' }
    const base = await publish(source, bytes(1000), fields)
    const top = await publish(source, bytes(1000), { ...fields, origin: base.uuid })
    const { client, server } = await start(mode)
    const image = await client.adminImportRemoteImageAndWait(top.uuid, source.url, { skipOwnerCheck: true })
    const isShared = mode === 'public' || mode === 'private'
    expect(image).toMatchObject({
      uuid: top.uuid,
      state: 'active',
      origin: base.uuid,
      published_at: top.published_at,
      owner: isShared ? '00000000-0000-0000-0000-000000000000' : OWNER,
      files: top.files,
    })
    expect(await client.getImage(base.uuid)).toMatchObject({ state: 'active', files: base.files })
    const again = await failureOf(client.adminImportRemoteImage(top.uuid, source.url))
    expect(again).toMatchObject({ statusCode: 409, body: { code: 'ImageUuidAlreadyExists' } })
    return server
  }
  await Promise.all(MODES.map(importInto))
})

test('an image of another datacenter comes for its owner, who waits', async () => {
  const source = await startServer({ config: { mode: 'dc' } })
  const image = await publish(source, bytes(1000), { owner: OWNER })
  const config = { mode: 'dc', imgapiUrlFromDatacenter: { east: source.url } }
  const server = await startImporter({ config })
  const client = sdcClient(server)
  const got = await client.importImageFromDatacenterAndWait(image.uuid, OWNER, { datacenter: 'east' })
  expect(got).toMatchObject({ uuid: image.uuid, state: 'active', owner: OWNER, files: image.files })
  expect(
    await failureOf(client.importImageFromDatacenter(uuid(), FRIEND, { datacenter: 'east' })),
  ).toMatchObject({
    statusCode: 404,
  })
})

test('a manifest and its file are taken from a source one after the other', async () => {
  const source = await startServer()
  const image = await publish(source, bytes(3000))
  const client = sdcClient(await startImporter())
  const imported = await client.adminImportImage({ uuid: image.uuid }, { source: `${source.url}?channel=*` })
  expect(imported).toMatchObject({ uuid: image.uuid, state: 'unactivated', published_at: image.published_at })
  expect(await client.addImageFile({ uuid: image.uuid, source: source.url })).toMatchObject({
    files: image.files,
  })
  expect(await client.activateImage(image.uuid)).toEqual(image)
})

test('a file is fetched from a URL', async () => {
  const source = await startServer()
  const content = bytes(5000)
  const image = await publish(source, content)
  const server = await startImporter()
  const { uuid: id } = await create(server)
  const file_url = `${source.url}/images/${image.uuid}/file`
  const options = { uuid: id, file_url, compression: 'none', sha1: sha1(content) }
  expect(await sdcClient(server).addImageFileFromUrl(options)).toMatchObject({
    files: [{ sha1: sha1(content) }],
  })
  expect((await call(server, 'GET', `/images/${id}`)).body.files[0].size).toBe(content.length)
})
