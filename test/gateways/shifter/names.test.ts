import { randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { namesIn, textsIn } from '../../support/folders.ts'
import { layerOf } from '../../support/layers.ts'
import { needsAll } from '../../support/programs.ts'
import { LOGIN, startPulling, withLogin } from '../../support/pulling.ts'
import { ScriptedRegistry } from '../../support/scripted-registry.ts'
import { temporaryFolder } from '../../support/server.ts'
import {
  ALICE,
  ask,
  BOB,
  lookup,
  pathOf,
  postPull,
  pull,
  ROOT,
  readMeta,
  type ShifterServer,
  SYSTEM,
  startShifter,
  type User,
} from '../../support/shifter.ts'
import { until } from '../../support/until.ts'

/** One image under several names: whom it is for is a matter of each name. */

const test = needsAll({ sqfstar: 'squashfs-tools', unsquashfs: 'squashfs-tools' })

const CAROL: User = { name: 'carol', uid: 5003, gid: 6003 }

/** Always the same image. */
const LAYERS = [layerOf({ name: 'file', content: 'the same' })]

/** A registry that has the same image at `open/demo:1`, and at `a/demo:1` and `b/demo:1` for those with a login. */
async function start(imagemanager: Record<string, unknown> = {}) {
  const { registry, gateway } = await startPulling({ imagemanager })
  const { id } = await registry.put('open/demo:1', { layers: LAYERS })
  for (const name of ['a/demo:1', 'b/demo:1']) {
    expect(await registry.put(name, { layers: LAYERS, login: LOGIN })).toEqual({ id })
  }
  return { registry, gateway, id }
}

const metaOf = (gateway: ShifterServer, id: string) => readMeta(join(gateway.imageDir, `${id}.meta`))

const expire = (gateway: ShifterServer, tag: string) =>
  ask(gateway, 'GET', pathOf('expire', SYSTEM, tag), { as: ROOT })

/** All names that a user is shown, by whatever way. */
async function shownTo(gateway: ShifterServer, as: User, id: string): Promise<string[]> {
  const { body } = await ask(gateway, 'GET', `/api/list/${SYSTEM}/`, { as })
  const listed: string[] = body.list.flatMap(({ tag }: { tag: string[] }) => tag)
  const found = await lookup(gateway, id, { as, type: 'id' })
  const byId: string[] = found.status === 200 ? found.body.tag : []
  const byName = []
  for (const name of ['open/demo:1', 'a/demo:1', 'b/demo:1']) {
    const { status, body: record } = await lookup(gateway, name, { as })
    if (status === 200) byName.push(name, ...record.tag)
  }
  expect([...new Set(byName)].sort()).toEqual([...listed].sort())
  for (const name of byId) expect(listed).toContain(name)
  expect(found.status === 200).toBe(listed.length > 0)
  return listed.sort()
}

for (const order of [
  ['open/demo:1', 'a/demo:1'],
  ['a/demo:1', 'open/demo:1'],
]) {
  test(`a private name of a public image takes nothing from other users and is not shown to them: ${order.join(', ')}`, async () => {
    const { gateway, id } = await start()
    for (const name of order) {
      const as = withLogin(ALICE)
      expect(await pull(gateway, name, { as })).toMatchObject({ id, status: 'READY' })
    }
    expect(await shownTo(gateway, ALICE, id)).toEqual(['a/demo:1', 'open/demo:1'])
    expect(await shownTo(gateway, BOB, id)).toEqual(['open/demo:1'])
    expect((await lookup(gateway, 'open/demo:1', { as: BOB })).body).toMatchObject({
      userACL: [],
      groupACL: [],
    })
    expect((await lookup(gateway, 'a/demo:1')).body).toMatchObject({ userACL: [ALICE.uid], groupACL: [] })
    expect((await pull(gateway, 'open/demo:1', { as: BOB })).tag).toEqual(['open/demo:1'])
    expect(await pull(gateway, 'a/demo:1', { as: BOB })).toMatchObject({ status: 'FAILURE', tag: [] })
    // The runtime knows the image by its id alone.
    expect(metaOf(gateway, id)).not.toHaveProperty('USERACL')
    expect(namesIn(gateway.imageDir)).toEqual([`${id}.meta`, `${id}.squashfs`])
  })
}

test('two private names of one image have lists of their own, and the runtime lets in who is in one of them', async () => {
  const { registry, gateway, id } = await start()
  await pull(gateway, 'a/demo:1', { as: withLogin(ALICE), body: { allowed_gids: '77' } })
  const layers = () => registry.requests.filter(({ path }) => path.includes('/blobs/')).length
  const before = layers()
  await pull(gateway, 'b/demo:1', { as: withLogin(BOB), body: { allowed_uids: '9' } })
  expect((await lookup(gateway, 'a/demo:1')).body).toMatchObject({ userACL: [], groupACL: [77, ALICE.gid] })
  expect((await lookup(gateway, 'b/demo:1', { as: BOB })).body).toMatchObject({ userACL: [9, BOB.uid] })
  expect(await shownTo(gateway, ALICE, id)).toEqual(['a/demo:1'])
  expect(await shownTo(gateway, BOB, id)).toEqual(['b/demo:1'])
  expect(await shownTo(gateway, CAROL, id)).toEqual([])
  expect(metaOf(gateway, id)).toMatchObject({ USERACL: `9,${BOB.uid}`, GROUPACL: `77,${ALICE.gid}` })
  // Its files are there already.
  expect(layers() - before).toBeLessThanOrEqual(1)
})

test('a name whose time is over goes alone, and the runtime no longer lets in those who had the image by it', async () => {
  const { gateway, id } = await start({ ImageExpirationTimeout: '00:00:00:01' })
  await pull(gateway, 'a/demo:1', { as: withLogin(ALICE) })
  await pull(gateway, 'b/demo:1', { as: withLogin(BOB) })
  expect(metaOf(gateway, id).USERACL).toBe(`${ALICE.uid},${BOB.uid}`)
  // Names that have not been looked up do not expire.
  await lookup(gateway, 'a/demo:1')
  await until('it has expired', async () => {
    const { body } = await ask(gateway, 'GET', `/api/autoexpire/${SYSTEM}/`, { as: ROOT })
    // The image is still there under its other name.
    expect(body).toEqual({ status: [] })
    const { body: listed } = await ask(gateway, 'GET', `/api/list/${SYSTEM}/`)
    return listed.list.length === 0
  })
  await until('the file says so', () => metaOf(gateway, id).USERACL === `${BOB.uid}`)
  expect(namesIn(gateway.imageDir)).toEqual([`${id}.meta`, `${id}.squashfs`])
  expect(await expire(gateway, 'b/demo:1')).toMatchObject({ body: { status: true } })
  await until('its files are gone', () => namesIn(gateway.imageDir).length === 0)
})

test('an image that an admin expires goes with all of its names', async () => {
  const { gateway, id } = await start()
  for (const name of ['open/demo:1', 'a/demo:1']) await pull(gateway, name, { as: withLogin(ALICE) })
  await expire(gateway, 'open/demo:1')
  await until('its files are gone', () => namesIn(gateway.imageDir).length === 0)
  expect(await shownTo(gateway, ALICE, id)).toEqual([])
})

test('a name that gets another image leaves the old one to those who had it, and comes back to it', async () => {
  const { registry, gateway, id } = await start({ PullUpdateTimeout: 2 })
  const as = withLogin(ALICE)
  for (const name of ['a/demo:1', 'b/demo:1']) await pull(gateway, name, { as })
  const put = (content: string) =>
    registry.put('a/demo:1', { layers: [layerOf({ name: 'file', content })], login: LOGIN })
  const isNow = (wanted: string, tag = 'a/demo:1') =>
    until(`${tag} is ${wanted}`, async () => {
      const { body } = await postPull(gateway, tag, { as })
      return body.status === 'READY' && body.id === wanted
    })
  const other = await put('something else')
  await isNow(other.id)
  expect((await lookup(gateway, 'a/demo:1')).body).toMatchObject({ id: other.id, userACL: [ALICE.uid] })
  expect((await lookup(gateway, 'b/demo:1')).body).toMatchObject({ id, tag: ['b/demo:1'] })
  expect((await lookup(gateway, 'a/demo:1', { as: BOB })).status).toBe(404)
  expect((await lookup(gateway, id, { as: ALICE, type: 'id' })).status).toBe(200)
  for (const one of [id, other.id]) {
    expect(metaOf(gateway, one).USERACL).toBe(`${ALICE.uid}`)
    expect((await lookup(gateway, one, { as: BOB, type: 'id' })).status).toBe(404)
  }
  expect(await put('the same')).toEqual({ id })
  await isNow(id)
  await until('the name has one image', async () => {
    const { body } = await ask(gateway, 'GET', `/api/list/${SYSTEM}/`)
    const tags = body.list.map((one: { id: string; tag: string[] }) => [one.id, one.tag.sort().join()])
    return (
      JSON.stringify(tags.sort()) ===
      JSON.stringify(
        [
          [id, 'a/demo:1,b/demo:1'],
          [other.id, ''],
        ].sort(),
      )
    )
  })
})

test('the lists that a client asks for are in the first answer, and in no answer to others', async () => {
  const { registry, gateway } = await start()
  registry.intercept = path => path.includes('/manifests/')
  const body = { allowed_uids: '1,2', allowed_gids: '' }
  const lists = { userACL: [1, 2, ALICE.uid], groupACL: [] }
  const first = await postPull(gateway, 'a/demo:1', { as: withLogin(ALICE), body })
  expect(first.body).toMatchObject({ status: 'INIT', id: 'MISSING', tag: [], ...lists })
  const next = await postPull(gateway, 'a/demo:1', { as: withLogin(ALICE), body })
  expect(next.body).toMatchObject(lists)
  const theirs = await postPull(gateway, 'a/demo:1', { as: withLogin(BOB) })
  expect(theirs.body).toMatchObject({ id: 'MISSING', userACL: [], groupACL: [] })
})

/** A record as versions wrote it that had all names of an image in one. */
const oldRecord = (id: string, tags: string[], changes: object = {}) => ({
  key: randomUUID(),
  ...{ system: SYSTEM, type: 'docker', status: 'READY', pulltag: tags.at(-1), tags, id, format: 'squashfs' },
  ...{ isPrivate: true, userACL: [ALICE.uid], groupACL: [], lastPull: 1_700_000_000 },
  ...changes,
})

test('records of an earlier version are read, and each of their names gets its own', async () => {
  const registry = await new ScriptedRegistry().start()
  const { id } = await registry.put('open/demo:1', { layers: LAYERS })
  const folder = temporaryFolder()
  const records = join(folder, 'data/.shifter/records')
  mkdirSync(records, { recursive: true })
  const old = [
    oldRecord(id, ['open/demo:1', 'a/demo:1']),
    // What a crash left of a tag on its way to another image: the later pull has it.
    oldRecord('1'.repeat(64), ['moved:1', 'left:1']),
    oldRecord('2'.repeat(64), ['moved:1'], { lastPull: 1_800_000_000 }),
  ]
  for (const record of old) writeFileSync(join(records, `${record.key}.json`), JSON.stringify(record))
  const options = { imagemanager: registry.locations, folder }
  const namesOf = async (gateway: ShifterServer) => {
    const found: Record<string, string> = {}
    for (const tag of ['open/demo:1', 'a/demo:1', 'moved:1', 'left:1']) {
      const { body } = await lookup(gateway, tag)
      found[tag] = body.id?.slice(0, 4)
    }
    return found
  }
  const short = id.slice(0, 4)
  const wanted = { 'open/demo:1': short, 'a/demo:1': short, 'moved:1': '2222', 'left:1': '1111' }
  const contents = () => textsIn(records).map(text => JSON.parse(text).tags.join())
  const own = ['', 'a/demo:1', 'left:1', 'moved:1', 'open/demo:1']
  const first = await startShifter(options)
  expect(await namesOf(first)).toEqual(wanted)
  expect(contents().sort()).toEqual(own)
  await first.server.kill()
  // As a kill in the middle of that leaves them.
  writeFileSync(join(records, `${old[0]!.key}.json`), JSON.stringify(old[0]))
  const second = await startShifter(options)
  expect(await namesOf(second)).toEqual(wanted)
  expect(contents().sort()).toEqual(own)

  // Whom the image is for was known of both names together; now one of them is public, and the other is not.
  expect((await lookup(second, 'open/demo:1', { as: BOB })).status).toBe(404)
  expect(await pull(second, 'open/demo:1', { as: BOB })).toMatchObject({ status: 'READY', id })
  expect((await lookup(second, 'a/demo:1', { as: BOB })).status).toBe(404)
  expect((await lookup(second, 'a/demo:1')).body).toMatchObject({ id, userACL: [ALICE.uid] })
})
