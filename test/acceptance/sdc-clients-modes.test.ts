import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bytes, call, manifest, uuid } from '../support/api.ts'
import { cliSigner, KEY_KINDS, makeKey } from '../support/keys.ts'
import { allNeedOldClients } from '../support/old-clients.ts'
import { failureOf, type SdcClient, sdcClient } from '../support/sdc-client.ts'
import { type TestServer, temporaryFolder } from '../support/server.ts'
import { shareServer } from '../support/shared-server.ts'

/**
 * All that the real client library offers and a standalone server has, in every mode, with and without channels,
 * with Basic and with each kind of signature. The imports are tested with the imports.
 */

allNeedOldClients()

const CHANNELS = [
  { name: 'dev', description: 'for developers' },
  { name: 'release', description: 'for all', default: true },
]
const KEYS = Object.fromEntries(KEY_KINDS.map(kind => [kind, makeKey(kind)]))
const authKeys = Object.fromEntries(KEY_KINDS.map(kind => [kind, [KEYS[kind]!.line]]))
const MODES = ['standalone', 'public', 'private', 'dc'] as const

const credentials = (kind: string) =>
  kind === 'basic' ? {} : { user: kind, password: undefined, sign: cliSigner(kind, KEYS[kind]!) }

describe.each(MODES)('mode %s', mode => {
  describe.each([false, true])('with channels: %s', hasChannels => {
    let server: TestServer

    const channels = hasChannels ? CHANNELS : []
    shareServer(
      started => {
        server = started
      },
      { config: { mode, channels, authKeys } },
    )

    test.each(['basic', ...KEY_KINDS])('everything works with credentials of kind %s', async kind => {
      const options = credentials(kind)
      // Clients that know no channels meet a server that has some, and the other way round.
      const client = sdcClient(server, hasChannels ? options : { ...options, channel: 'anything' })
      const isPublic = mode === 'public'
      await administer(client, kind, server)
      const id = await publishAndRead(client, isPublic)
      await change(client, id, isPublic)
      await share(client, id, mode)
      if (hasChannels)
        await moveThroughChannels(client, sdcClient(server, { ...options, channel: 'dev' }), id)
      else {
        expect(await failureOf(client.listChannels({}))).toMatchObject({ statusCode: 404 })
        const refused = await failureOf(client.channelAddImage({ uuid: id, channel: 'dev' }))
        expect(refused.body).toMatchObject({
          code: 'InvalidParameter',
          message: '"channel-add" is not a valid action',
        })
      }
      await client.deleteImage(id)
      expect((await call(server, 'GET', `/images/${id}?channel=*`)).status).toBe(404)
    })
  })
})

async function administer(client: SdcClient, kind: string, server: TestServer) {
  const user = kind === 'basic' ? 'admin' : kind
  expect(await client.ping()).toMatchObject({ ping: 'pong', imgapi: true, user, pid: server.pid })
  expect(await failureOf(client.ping('OperatorOnly'))).toMatchObject({ statusCode: 403 })
  expect(await client.adminGetState()).toMatchObject({ storageTypes: ['local'] })
  await client.adminReloadAuthKeys()
}

/** An active image with a file and an icon. */
async function publishAndRead(client: SdcClient, isPublic: boolean): Promise<string> {
  const folder = temporaryFolder()
  const path = (name: string) => join(folder, name)
  const [content, icon] = [bytes(5000), bytes(500)]
  writeFileSync(path('file'), content)
  writeFileSync(path('icon'), icon)
  const made = await client.createImage(manifest({ public: isPublic, owner: ALICE }))
  const { uuid: id } = made
  await client.addImageFile({ uuid: id, file: path('file'), compression: 'none' })
  await client.addImageIcon({ uuid: id, file: path('icon'), contentType: 'image/png' })
  expect(await client.activateImage(id)).toMatchObject({ state: 'active', icon: true })
  expect((await client.listImages({ state: 'all' })).map(image => image.uuid)).toContain(id)
  await client.getImageFile(id, path('file.copy'))
  expect(readFileSync(path('file.copy')).equals(content)).toBe(true)
  await client.getImageIcon(id, path('icon.copy'))
  expect(readFileSync(path('icon.copy')).equals(icon)).toBe(true)
  expect(await client.deleteImageIcon(id)).not.toHaveProperty('icon')
  expect(await client.getImage(id, { inclAdminFields: true })).toMatchObject({ files: [{ stor: 'local' }] })
  return id
}

const ALICE = uuid()
const BOB = uuid()

async function change(client: SdcClient, id: string, isPublic: boolean) {
  expect(await client.updateImage(id, { description: 'new' })).toMatchObject({ description: 'new' })
  expect(await client.disableImage(id)).toMatchObject({ state: 'disabled' })
  expect(await client.enableImage(id)).toMatchObject({ state: 'active' })
  expect(await client.adminChangeStor({ uuid: id, stor: 'local' })).toMatchObject({ uuid: id })
  expect(await failureOf(client.exportImage(id, { manta_path: '/admin/stor' }))).toMatchObject({
    statusCode: 501,
    body: { code: 'NotAvailable' },
  })
  const given = { v: 2, uuid: uuid(), ...manifest({ public: isPublic, owner: ALICE }) }
  expect(await client.adminImportImage(given, { skipOwnerCheck: true })).toMatchObject({ uuid: given.uuid })
  await client.deleteImage(given.uuid)
}

async function share(client: SdcClient, id: string, mode: string) {
  expect(await client.addImageAcl(id, [BOB, ALICE])).toMatchObject({ acl: [BOB, ALICE] })
  expect(await client.removeImageAcl(id, [ALICE], ALICE)).toMatchObject({ acl: [BOB] })
  expect(await client.getImage(id, BOB)).toMatchObject({ uuid: id })
  const stranger = await failureOf(client.updateImage(id, { name: 'mine' }, BOB))
  expect(stranger.body).toMatchObject({ code: 'NotImageOwner' })
  if (mode !== 'dc') {
    expect(await failureOf(client.cloneImage(id, BOB))).toMatchObject({ statusCode: 404 })
    return
  }
  const clone = await client.cloneImage(id, BOB)
  expect(clone).toMatchObject({ owner: BOB, state: 'active' })
  expect(clone.uuid).not.toBe(id)
  await client.deleteImage(clone.uuid, BOB)
}

async function moveThroughChannels(client: SdcClient, developer: SdcClient, id: string) {
  expect(await client.listChannels({})).toEqual(CHANNELS)
  expect(await failureOf(developer.getImage(id))).toMatchObject({ statusCode: 404 })
  expect(await client.channelAddImage({ uuid: id, channel: 'dev' })).toMatchObject({
    channels: ['release', 'dev'],
  })
  expect(await developer.getImage(id)).toMatchObject({ uuid: id })
  expect((await developer.listImages()).map(image => image.uuid)).toContain(id)
  await developer.deleteImage(id)
  expect(await failureOf(developer.getImage(id))).toMatchObject({ statusCode: 404 })
  expect(await client.getImage(id)).toMatchObject({ channels: ['release'] })
}
