import { appendFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { addFile, bytes, call, create, uuid as newUuid, publish, sha1 } from '../support/api.ts'
import { namesIn } from '../support/folders.ts'
import { runProgram } from '../support/program.ts'
import { startServer, type TestServer, temporaryFolder } from '../support/server.ts'
import { until } from '../support/until.ts'

/** One image is harmed: it says so, and all others are as they were. */

async function restart(server: TestServer, whileStopped: () => void) {
  await server.stop()
  whileStopped()
  return startServer({ folder: server.folder })
}

/** What was reported at the start. */
function errorsOf(server: TestServer) {
  const log = server.log()
  const atStart = log.slice(
    0,
    log.findIndex(({ port }) => port !== undefined),
  )
  return atStart.filter(({ level }) => level >= 50).map(({ msg }) => msg)
}

async function isDown(server: TestServer, uuid: string, reason: string | RegExp) {
  for (const path of [`/images/${uuid}`, `/images/${uuid}/file`]) {
    expect(await call(server, 'GET', path)).toMatchObject({
      status: 503,
      body: { code: 'StorageIsDown', message: expect.stringMatching(reason) },
    })
  }
  expect(errorsOf(server)[0]).toMatch(reason)
  expect(errorsOf(server)[0]).toContain(uuid)
}

async function isFine(server: TestServer, uuid: string) {
  expect((await call(server, 'GET', `/images/${uuid}/file`)).status).toBe(200)
  const update = await call(server, 'POST', `/images/${uuid}?action=update`, { body: { description: 'x' } })
  expect(update.status).toBe(200)
  const again = await publish(server)
  const listed = (await call(server, 'GET', '/images')).body.map((image: { uuid: string }) => image.uuid)
  expect(listed).toEqual(expect.arrayContaining([uuid, again.uuid]))
}

test.each([
  ['cut off in the middle', '{"v": 2, "uu', /cannot be read/],
  ['empty', '', /cannot be read/],
  ['an array', '[1, 2]', /cannot be read: not a JSON object/],
  ['null', 'null', /cannot be read: not a JSON object/],
  ['not text', Buffer.from([0xff, 0xfe, 0, 1]), /cannot be read/],
  ['an empty object', '{}', /it has no "name"/],
  ['another image’s', JSON.stringify({ v: 2, uuid: newUuid(), name: 'a' }), /it is the manifest of image/],
  [
    'of an unknown state',
    JSON.stringify({ v: 2, name: 'a', version: '1', type: 'other', os: 'other', state: 'gone' }),
    /its state is "gone"/,
  ],
  [
    'with a bad file',
    JSON.stringify({ v: 2, name: 'a', version: '1', type: 'other', os: 'other', files: [{}] }),
    /"files" are not valid/,
  ],
])('a manifest that is %s harms one image', async (_, content, reason) => {
  const first = await startServer()
  const harmed = await publish(first)
  const other = await publish(first)
  const path = join(first.datadir, harmed.uuid, 'manifest.json')
  const server = await restart(first, () => writeFileSync(path, content))
  await isDown(server, harmed.uuid, reason)
  expect(errorsOf(server)).toHaveLength(1)
  await isFine(server, other.uuid)
  // It may be repaired by hand, so its UUID is not given away and its folder is not touched.
  const taken = { v: 2, uuid: harmed.uuid, name: 'a', version: '1', type: 'other', os: 'other' }
  expect((await call(server, 'POST', `/images/${harmed.uuid}?action=import`, { body: taken })).status).toBe(
    503,
  )
  expect((await call(server, 'DELETE', `/images/${harmed.uuid}`)).status).toBe(503)
  expect(namesIn(join(server.datadir, harmed.uuid))).toHaveLength(2)
})

const imageFile = (server: TestServer, uuid: string) =>
  join(server.datadir, uuid, namesIn(join(server.datadir, uuid)).find(name => name.startsWith('image'))!)

test('an image whose file is lost says so and can be deleted', async () => {
  const first = await startServer()
  const harmed = await publish(first)
  const other = await publish(first)
  const server = await restart(first, () => rmSync(imageFile(first, harmed.uuid)))
  await isDown(server, harmed.uuid, /the file .* is missing/)
  await isFine(server, other.uuid)
  expect((await call(server, 'DELETE', `/images/${harmed.uuid}`)).status).toBe(204)
  expect((await call(server, 'GET', `/images/${harmed.uuid}`)).status).toBe(404)
  expect((await runProgram('check', '-c', server.configPath)).code).toBe(0)
})

test('an image whose file is too long or too short says so', async () => {
  for (const harm of [
    (path: string) => appendFileSync(path, 'x'),
    (path: string) => writeFileSync(path, bytes(999)),
  ]) {
    const first = await startServer()
    const harmed = await publish(first, bytes(1000))
    const other = await publish(first)
    const server = await restart(first, () => harm(imageFile(first, harmed.uuid)))
    await isDown(server, harmed.uuid, /has (1001|999) bytes, not 1000/)
    await isFine(server, other.uuid)
  }
})

test('a file that is lost while the server runs is reported to who asks for it', async () => {
  const server = await startServer()
  const image = await publish(server)
  rmSync(imageFile(server, image.uuid))
  expect(await call(server, 'GET', `/images/${image.uuid}/file`)).toMatchObject({
    status: 503,
    body: { code: 'StorageIsDown', message: expect.stringContaining('missing') },
  })
  expect((await call(server, 'DELETE', `/images/${image.uuid}`)).status).toBe(204)
})

test('an unactivated image whose file is lost is whole again with a new file', async () => {
  const first = await startServer()
  const { uuid } = await create(first)
  await addFile(first, uuid, bytes(1000))
  const server = await restart(first, () => rmSync(imageFile(first, uuid)))
  await isDown(server, uuid, /is missing/)
  const content = bytes(500)
  await addFile(server, uuid, content)
  expect((await call(server, 'GET', `/images/${uuid}`)).body.files[0].sha1).toBe(sha1(content))
})

test('what a crash left beside a manifest is swept at the start, other files are not', async () => {
  const first = await startServer()
  const { uuid } = await publish(first)
  const folder = join(first.datadir, uuid)
  const kept = namesIn(folder)
  const unreadable = newUuid()
  const server = await restart(first, () => {
    for (const name of ['image-0123abcd.zfs.gz', 'icon-0123abcd.png', 'image1-0123abcd.zfs']) {
      writeFileSync(join(folder, name), 'left over')
    }
    for (const name of ['image-backup.zfs', 'notes.txt', 'image.gz'])
      writeFileSync(join(folder, name), 'mine')
    mkdirSync(join(first.datadir, unreadable))
    writeFileSync(join(first.datadir, unreadable, 'manifest.json'), '')
    writeFileSync(join(first.datadir, unreadable, 'image-0123abcd.zfs'), 'may be the only copy')
    mkdirSync(join(first.datadir, '.tmp', 'deleted'), { recursive: true })
    writeFileSync(join(first.datadir, '.tmp', 'deleted', 'manifest.json'), '{}')
  })
  // It sweeps behind the first answers.
  await until('the sweep', () => !namesIn(folder).some(name => name.includes('0123abcd')))
  expect(namesIn(folder)).toEqual([...kept, 'image-backup.zfs', 'image.gz', 'notes.txt'].sort())
  expect(namesIn(join(server.datadir, unreadable))).toEqual(['image-0123abcd.zfs', 'manifest.json'])
  expect(namesIn(join(server.datadir, '.tmp'))).toEqual([])
})

test('to copy the folder of an image to another data directory is to copy the image', async () => {
  const server = await startServer()
  const content = bytes(2_000_000)
  const image = await publish(server, content, { description: 'to be copied', tags: { a: 'b' } })
  const icon = bytes(400)
  const headers = { 'content-type': 'image/gif' }
  await call(server, 'PUT', `/images/${image.uuid}/icon`, { headers, body: icon })
  const original = (await call(server, 'GET', `/images/${image.uuid}`)).body
  const folder = temporaryFolder()
  cpSync(join(server.datadir, image.uuid), join(folder, 'data', image.uuid), { recursive: true })
  const other = await startServer({ folder })
  expect((await call(other, 'GET', `/images/${image.uuid}`)).body).toEqual(original)
  const digest = async (what: string) => {
    const response = await fetch(`${other.url}/images/${image.uuid}/${what}`)
    return sha1(new Uint8Array(await response.arrayBuffer()))
  }
  expect(await digest('file')).toBe(sha1(content))
  expect(await digest('icon')).toBe(sha1(icon))
})
