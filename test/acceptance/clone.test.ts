import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bytes, call, type Manifest, publish, uuid } from '../support/api.ts'
import { startServer, type TestServer } from '../support/server.ts'

/** CloneImage and the origins of an image (reference contract, 8.18). */

const [alice, bob, admin] = [uuid(), uuid(), uuid()]
const shared = { owner: alice, acl: [bob] }

const startDatacenter = () => startServer({ config: { mode: 'dc', adminUuid: admin } })
const cloneFor = (server: TestServer, { uuid: id }: Manifest, account: string) =>
  call(server, 'POST', `/images/${id}/clone?account=${account}`)
const everything = async (server: TestServer) =>
  (await call(server, 'GET', '/images?state=all')).body as Manifest[]

test.each([
  ['nobody', '00000000-0000-0000-0000-000000000000'],
  ['the administrator', admin],
])('origins are cloned up to one of %s, as disabled images of the account', async (_, owner) => {
  const server = await startDatacenter()
  const contents = [bytes(10), bytes(20), bytes(30), bytes(40)]
  const base = await publish(server, contents[0], { owner, public: true, name: 'base' })
  const first = await publish(server, contents[1], { ...shared, origin: base.uuid, name: 'first' })
  // Only the image itself has to be shared.
  const second = await publish(server, contents[2], { owner: alice, origin: first.uuid, name: 'second' })
  const image = await publish(server, contents[3], { ...shared, origin: second.uuid, name: 'image' })
  const before = await everything(server)

  const answer = await cloneFor(server, image, bob)
  expect(answer.status, answer.text).toBe(200)
  const chain: Manifest[] = []
  for (let id = answer.body.uuid; id !== base.uuid; id = chain.at(-1)!.origin) {
    chain.push((await call(server, 'GET', `/images/${id}`)).body)
  }
  expect(chain.map(({ name, state, owner: whose }) => ({ name, state, owner: whose }))).toEqual([
    { name: 'image', state: 'active', owner: bob },
    { name: 'second', state: 'disabled', owner: bob },
    { name: 'first', state: 'disabled', owner: bob },
  ])
  const originals = [image, second, first]
  for (const [index, clone] of chain.entries()) {
    const original = originals[index]!
    expect(clone.uuid).not.toBe(original.uuid)
    expect(Date.parse(clone.published_at as string)).toBeGreaterThan(
      Date.parse(original.published_at as string),
    )
    expect(clone).not.toHaveProperty('acl')
    expect(clone.files).toEqual(original.files)
  }
  // Nothing but the clones is new, and the originals can go without them.
  const after = await everything(server)
  expect(after).toHaveLength(before.length + 3)
  expect(after).toEqual(expect.arrayContaining(before))
  for (const original of originals) {
    expect((await call(server, 'DELETE', `/images/${original.uuid}`)).status).toBe(204)
  }
  const file = await fetch(`${server.url}/images/${answer.body.uuid}/file`)
  expect(Buffer.from(await file.arrayBuffer()).equals(contents[3]!)).toBe(true)
})

test('a clone that fails half-way leaves nothing behind', async () => {
  const server = await startDatacenter()
  const origin = await publish(server, bytes(10), { owner: alice })
  const image = await publish(server, bytes(10), { ...shared, origin: origin.uuid })
  const folder = join(server.datadir, image.uuid)
  for (const name of readdirSync(folder)) if (name.startsWith('image')) rmSync(join(folder, name))

  const answer = await cloneFor(server, image, bob)
  expect(answer.status).toBe(503)
  expect(answer.body.code).toBe('StorageIsDown')
  expect((await everything(server)).map(({ uuid: id }) => id).sort()).toEqual(
    [origin.uuid, image.uuid].sort(),
  )
  expect(readdirSync(server.datadir).filter(name => /^[0-9a-f]{8}-/.test(name))).toHaveLength(2)
})
