import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { bytes, call, create, manifest, sha1, uuid } from '../support/api.ts'
import { cli, done } from '../support/cli.ts'
import { writeImage } from '../support/datadir.ts'
import { importFrom, startImporter } from '../support/imports.ts'
import { startServer, temporaryFolder } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'
import { imgapi, remoteManifest, sendContent, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

/** Numbers and flags where a manifest has text: what clients send that read `version=1.0` as JSON. */

const sharedServer = shared(startServer)

const ZVOL = { type: 'zvol', image_size: 10, disk_driver: 'virtio', nic_driver: 'virtio', cpu_type: 'host' }

/** Every text field that any text may stand in, with the images that have it. */
const FREE_TEXT: Record<string, Record<string, unknown>> = {
  name: {},
  version: {},
  description: {},
  nic_driver: ZVOL,
  disk_driver: ZVOL,
  cpu_type: ZVOL,
}
const VALUES = [7, 1.5, -2, true, false] as const

test('create, update and import take a number or a flag in any text field as its text', async () => {
  const server = await sharedServer()
  for (const [field, fields] of Object.entries(FREE_TEXT)) {
    for (const value of VALUES) {
      const changes = { ...fields, [field]: value }
      const created = await create(server, changes)
      expect(created, field).toMatchObject({ [field]: String(value) })
      const image = await create(server, fields)
      const updated = await call(server, 'POST', `/images/${image.uuid}?action=update`, {
        body: { [field]: value },
      })
      expect(updated.body, field).toMatchObject({ [field]: String(value) })
      const body = { v: 2, uuid: uuid(), ...manifest(changes) }
      const imported = await call(server, 'POST', `/images/${body.uuid}?action=import`, { body })
      expect(imported.body, field).toMatchObject({ [field]: String(value) })
    }
  }
  const body = { v: 2, uuid: uuid(), ...manifest({ urn: 5 }) }
  const imported = await call(server, 'POST', `/images/${body.uuid}?action=import`, { body })
  expect(imported.body.urn).toBe('5')
})

test('texts within fields are taken the same way, and tags keep their types', async () => {
  const server = await sharedServer()
  const tags = { n: 5, t: true, text: '5' }
  const image = await create(server, {
    tags,
    billing_tags: [5, 'a', true],
    users: [{ name: 5 }],
    inherited_directories: [5],
    requirements: { brand: 5, min_ram: 256, networks: [{ name: 0, description: 1 }] },
  })
  expect(image).toMatchObject({
    tags,
    billing_tags: ['5', 'a', 'true'],
    users: [{ name: '5' }],
    inherited_directories: ['5'],
    requirements: { brand: '5', min_ram: 256, networks: [{ name: '0', description: '1' }] },
  })
})

test('a number that makes no sensible text is refused as that text would be', async () => {
  const server = await sharedServer()
  for (const [field, text] of Object.entries({ type: '5', os: '5', homepage: '5', eula: '5', owner: '5' })) {
    const asNumber = await call(server, 'POST', '/images', { body: manifest({ [field]: 5 }) })
    const asText = await call(server, 'POST', '/images', { body: manifest({ [field]: text }) })
    expect(asNumber.status).toBe(422)
    expect(asNumber.body).toEqual(asText.body)
  }
})

test('what JSON says is kept as it is written: 1.0 is not 1, and no digit is lost', async () => {
  const server = await sharedServer()
  const text = (version: string) => JSON.stringify(manifest()).replace('"1.0.0"', version)
  for (const version of ['1.0', '1.10', '20260102030405060708', '1e3', '-0']) {
    const created = await call(server, 'POST', '/images', { body: text(version) })
    expect(created.body.version).toBe(version)
    const { uuid: id } = created.body
    const updated = await call(server, 'POST', `/images/${id}?action=update`, {
      body: `{"tags": {"version": 1.0}, "version": ${version}, "name" : 2.0}`,
    })
    expect(updated.body).toMatchObject({ version, name: '2.0', tags: { version: 1 } })
  }
  const twice = await call(server, 'POST', '/images', { body: text('1.0, "version": 2.0') })
  expect(twice.body.version).toBe('2.0')
})

test('the command line keeps version=1.0, and a number in a manifest file, as they are written', async () => {
  const server = await sharedServer()
  const created = await done(
    cli(server, ['create', '-j', 'name=7', 'version=1.0', 'type=other', 'os=other', 'tags.n=7']),
  )
  const image = JSON.parse(created.stdout)
  expect(image).toMatchObject({ name: '7', version: '1.0', tags: { n: 7 } })
  const updated = await done(cli(server, ['update', '-j', image.uuid, 'version=2.0', 'description=1.50']))
  expect(JSON.parse(updated.stdout)).toMatchObject({ version: '2.0', description: '1.50' })
  const file = join(temporaryFolder(), 'fields.json')
  writeFileSync(file, '{"name": 7, "version": 3.0, "type": "other", "os": "other"}')
  const fromFile = await done(cli(server, ['create', '-j', '-m', file]))
  expect(JSON.parse(fromFile.stdout)).toMatchObject({ name: '7', version: '3.0' })
})

const content = gzipSync(bytes(1000))

/** A manifest as a person writes it, with a number for its version. */
const written = (id: string) =>
  JSON.stringify({
    ...{ v: 2, uuid: id, ...manifest({ version: 'VERSION' }) },
    files: [{ sha1: sha1(content), size: content.length, compression: 'gzip' }],
  }).replace('"VERSION"', '1.0')

test('publish takes it, says what to write instead, and finds the image again', async () => {
  const server = await sharedServer()
  const id = uuid()
  const folder = temporaryFolder()
  const path = join(folder, 'web.imgmanifest')
  writeFileSync(path, written(id))
  writeFileSync(join(folder, 'web.zfs.gz'), content)
  const first = await done(cli(server, ['publish', '-m', path]))
  expect(first.stdout).toBe(`published: ${id} (test-image 1.0)\n`)
  expect((await call(server, 'GET', `/images/${id}`)).body.version).toBe('1.0')
  const again = await done(cli(server, ['publish', '-m', path]))
  expect(again.stdout).toBe(`already there and identical: ${id} (test-image 1.0)\n`)
  const linted = await cli(server, ['lint', path])
  expect(linted).toMatchObject({ code: 0, stdout: expect.stringContaining('"version": "1.0"') })
})

test('the drop folder takes it, and finishes an image that it began before a crash', async () => {
  const server = await startServer()
  const folder = join(server.datadir, 'incoming')
  mkdirSync(folder)
  const [fresh, begun] = [uuid(), uuid()]
  const imported = await call(server, 'POST', `/images/${begun}?action=import`, { body: written(begun) })
  expect(imported.status).toBe(200)
  for (const id of [fresh, begun]) {
    writeFileSync(join(folder, `${id}.imgmanifest`), written(id))
    writeFileSync(join(folder, `${id}.zfs.gz`), content)
  }
  const isActive = async (id: string) => (await call(server, 'GET', `/images/${id}`)).body.state === 'active'
  await until('both are active', async () => (await isActive(fresh)) && (await isActive(begun)))
  for (const id of [fresh, begun]) {
    expect((await call(server, 'GET', `/images/${id}`)).body.version).toBe('1.0')
  }
})

test('an image of a server that keeps such numbers is imported', async () => {
  const server = await startImporter()
  const image = remoteManifest(content, { name: 7, version: 1 })
  const source = await startSource(imgapi([image], (...exchange) => sendContent(content, ...exchange)))
  expect(await importFrom(server, image.uuid, source.url)).toMatchObject({ execution: 'succeeded' })
  const { body } = await call(server, 'GET', `/images/${image.uuid}`)
  expect(body).toMatchObject({ name: '7', version: '1', state: 'active' })
})

test('an image that another server stored with such numbers is served, listed and found by its text', async () => {
  const folder = temporaryFolder()
  const id = uuid()
  writeImage(folder, id, { name: 2026, version: 1.5 })
  const server = await startServer({ folder })
  for (const query of ['', '?name=2026', '?name=~02', '?version=1.5']) {
    const { body } = await call(server, 'GET', `/images${query}`)
    expect(body, query).toMatchObject([{ uuid: id, name: '2026', version: '1.5' }])
  }
})
