import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { addFile, bytes, call, create, manifest, publish, sha1, uuid } from '../support/api.ts'
import { askImport, importFrom, startImporter } from '../support/imports.ts'
import { startServer } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'
import { imgapi, remoteManifest, startSource } from '../support/source.ts'

const sharedServer = shared(startServer)
const sharedImporter = shared(startImporter)

// CommonJS of before there were types: the ecosystem's own module for manifests.
const { upgradeManifest } = createRequire(import.meta.url)('imgmanifest')

const importOf = (server: { url: string }, body: Record<string, unknown>, headers = {}) =>
  call(server, 'POST', `/images/${body.uuid}?action=import`, { body, headers })

test('an image of type lxd has two files, each at its index; others have one', async () => {
  const server = await sharedServer()
  const [metadata, root] = [bytes(1000), bytes(2_000_000)]
  const { uuid: id } = await create(server, { type: 'lxd', os: 'linux' })
  const early = await call(server, 'PUT', `/images/${id}/file?compression=none&index=1`, { body: root })
  expect(early).toMatchObject({ status: 422, body: { errors: [{ field: 'index' }] } })
  await addFile(server, id, metadata, 'compression=none&index=0')
  const both = await addFile(server, id, root, 'compression=none&index=1&dataset_guid=12345')
  expect(both.files).toEqual([
    { sha1: sha1(metadata), size: metadata.length, compression: 'none' },
    { sha1: sha1(root), size: root.length, compression: 'none', dataset_guid: '12345' },
  ])
  await call(server, 'POST', `/images/${id}?action=activate`)
  for (const [index, content] of [metadata, root].entries()) {
    const answer = await fetch(`${server.url}/images/${id}/file?index=${index}`)
    expect(sha1(new Uint8Array(await answer.arrayBuffer()))).toBe(sha1(content))
  }
  expect((await call(server, 'GET', `/images/${id}/file?index=2`)).status).toBe(404)

  const importer = await sharedImporter()
  expect(await importFrom(importer, id, server.url)).toMatchObject({
    execution: 'succeeded',
    bytes_done: metadata.length + root.length,
  })
  expect((await call(importer, 'GET', `/images/${id}`)).body.files).toEqual(both.files)

  const { uuid: single } = await create(server)
  await addFile(server, single, metadata)
  const replaced = await addFile(server, single, root, 'compression=none&index=1')
  expect(replaced.files).toHaveLength(1)
})

test('an import keeps urn, the date as it was given and fields of a newer server', async () => {
  const server = await sharedServer()
  const given = {
    ...manifest(),
    v: '2',
    uuid: uuid(),
    owner: uuid(),
    urn: 'sdc:sdc:name:1',
    published_at: '2014-01-01T01:01:01Z',
    future_field: { deep: [1, 2, { three: true }] },
  }
  const { status, body } = await importOf(server, given)
  expect(status).toBe(200)
  const { urn, published_at, future_field, owner } = given
  expect(body).toMatchObject({ v: 2, urn, published_at, future_field, owner, state: 'unactivated' })
  await addFile(server, given.uuid, bytes(10))
  const active = await call(server, 'POST', `/images/${given.uuid}?action=activate`)
  expect(active.body).toMatchObject({ future_field: given.future_field, published_at: given.published_at })
})

test.each([
  ['from a URL with seconds left out', { published_at: '2012-05-05T05:05Z' }],
  ['of one customer', { restricted_to_uuid: uuid() }],
  [
    'with all that is gone',
    { vendor_uuid: uuid(), created_at: '2011-11-11T11:11:11Z', platform_type: 'smartos' },
  ],
  ['with a file', { files: [{ path: 'a-1.zfs.bz2', url: 'http://x/a', sha1: 'a'.repeat(40), size: 5 }] }],
  ['disabled', { disabled: true }],
])('a manifest of version 1 %s is upgraded as the ecosystem does', async (_, changes) => {
  const server = await sharedServer()
  const { published_at = '2012-01-01T00:00:00Z', ...others } = changes as { published_at?: string }
  const old = { ...manifest({ uuid: uuid() }), creator_uuid: uuid(), published_at, ...others }
  // An import decides about files and state by itself.
  const { files: _files, state: _state, ...expected } = upgradeManifest(old)
  const { status, body } = await importOf(server, old)
  expect(status).toBe(200)
  for (const [key, value] of Object.entries(expected)) expect({ [key]: body[key] }).toEqual({ [key]: value })
  expect(body).not.toHaveProperty('creator_uuid')
})

test('imgadm before 3.7.4 asks too much of the platform for lx images; the origin knows better', async () => {
  const server = await sharedServer()
  const built = { min_platform: { '7.0': '20200101T000000Z' }, brand: 'lx' }
  const origin = await publish(server, bytes(10), {
    type: 'lx-dataset',
    os: 'linux',
    requirements: { min_platform: { '7.0': '20150101T000000Z' }, brand: 'lx' },
  })
  const lx = (changes = {}) =>
    manifest({ uuid: uuid(), v: 2, type: 'lx-dataset', os: 'linux', requirements: built, ...changes })
  const old = { 'user-agent': 'imgadm/3.7.3 (node/0.10.48; OpenSSL/1.0.1u)' }
  const current = { 'user-agent': 'imgadm/3.9.5 (node/0.10.48; OpenSSL/1.0.1u)' }
  const alone = await importOf(server, lx(), old)
  expect(alone.body.requirements).toEqual({ brand: 'lx' })
  const child = await importOf(server, lx({ origin: origin.uuid }), old)
  expect(child.body.requirements).toEqual({ brand: 'lx', min_platform: { '7.0': '20150101T000000Z' } })
  const trusted = await importOf(server, lx(), current)
  expect(trusted.body.requirements).toEqual({ brand: 'lx', min_platform: built.min_platform })
  const zone = await importOf(server, lx({ type: 'zone-dataset', os: 'smartos' }), old)
  expect(zone.body.requirements.min_platform).toEqual(built.min_platform)
})

test('an image that is on its way has its job before it is there, and without either there is a 404', async () => {
  const image = remoteManifest(bytes(1000))
  // The file never comes.
  const source = await startSource(imgapi([image], () => {}))
  const server = await sharedImporter()
  const path = `/images/${image.uuid}/jobs`
  expect((await call(server, 'GET', path)).status).toBe(404)
  const { body } = await askImport(server, image.uuid, source.url)
  expect((await call(server, 'GET', `/images/${image.uuid}`)).status).toBe(404)
  expect((await call(server, 'GET', path)).body).toMatchObject([{ uuid: body.job_uuid }])
  expect((await call(server, 'GET', `${path}?task=other`)).body).toEqual([])
})
