import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { bytes, call, manifest, uuid as newUuid, sha1 } from '../../support/api.ts'
import { namesIn } from '../../support/folders.ts'
import { runProgram } from '../../support/program.ts'
import { startServer, type TestServer } from '../../support/server.ts'
import { until } from '../../support/until.ts'

/** A server with a drop folder, made by hand as an operator makes it. */
async function prepare() {
  const server = await startServer()
  const folder = join(server.datadir, 'incoming')
  mkdirSync(folder)
  return { server, folder }
}

function describe(content: Uint8Array, changes: Record<string, unknown> = {}) {
  const files = [{ sha1: sha1(content), size: content.length, compression: 'none' }]
  return { v: 2, uuid: newUuid(), owner: newUuid(), public: true, ...manifest(), files, ...changes }
}

/** Several mistakes, and one thing that is only odd. */
const MANY = { name: 'no$name', os: 'debian', homepage: 'example.com', generate_passwords: 'true' }

const put = (folder: string, name: string, content: string | Uint8Array | object) =>
  writeFileSync(
    join(folder, name),
    typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content),
  )

const stateOf = async (server: TestServer, uuid: string) =>
  (await call(server, 'GET', `/images/${uuid}`)).body.state as string | undefined

const isLogged = (server: TestServer, text: string, wanted = 30) =>
  server.log().some(({ level, msg }) => level === wanted && msg.includes(text))

test('a manifest and its file are published when both are complete, told in the log, and taken out', async () => {
  const { server, folder } = await prepare()
  const content = bytes(300_000)
  const image = describe(content, { published_at: '2020-01-02T03:04:05Z', strange: { field: 1 } })
  // First the manifest, then a part of the file: that is nothing yet.
  put(folder, 'base-1.0.imgmanifest', image)
  put(folder, 'base-1.0.zfs', content.subarray(0, 100_000))
  await until('it waits', () => isLogged(server, 'waits for the rest of base-1.0.zfs'))
  expect(await stateOf(server, image.uuid)).toBeUndefined()
  put(folder, 'base-1.0.zfs', content)
  await until('the folder is empty', () => namesIn(folder).length === 0)
  const found = (await call(server, 'GET', `/images/${image.uuid}`, { anonymous: true })).body
  const { files, owner, published_at, strange } = image as Record<string, unknown>
  expect(found).toMatchObject({ state: 'active', files, owner, published_at, strange })
  await until('it is told', () => isLogged(server, `drop folder: published ${image.uuid}`))
  // Once more the same: it is here already, and that is fine.
  put(folder, 'again.json', image)
  put(folder, 'again.zfs', content)
  await until('the folder is empty again', () => namesIn(folder).length === 0)
  await server.stop()
  const checked = await runProgram('check', '-c', server.configPath)
  expect(checked).toMatchObject({ code: 0, stdout: expect.stringContaining('no problem found') })
})

test('without files in the manifest they are published when nothing has changed for a while', async () => {
  const { server, folder } = await prepare()
  const content = gzipSync(bytes(1000))
  const { files: _, ...image } = describe(content)
  put(folder, 'debian.zfs.gz', content)
  put(folder, 'debian.json', image)
  await until('the folder is empty', () => namesIn(folder).length === 0)
  const { body } = await call(server, 'GET', `/images/${image.uuid}`)
  expect(body.files).toEqual([{ sha1: sha1(content), size: content.length, compression: 'gzip' }])
})

test('what is wrong is moved aside with the reason beside it, and is never seen by anybody', async () => {
  const { server, folder } = await prepare()
  const content = bytes(1000)
  const wrong = [
    { name: 'sha1', image: describe(bytes(1000)), reason: /does not match the uploaded file sha1/ },
    { name: 'size', image: describe(bytes(999)), reason: /has 1000 bytes, not 999/ },
    { name: 'field', image: describe(content, { name: 'no $name' }), reason: /invalid image data: name/ },
    { name: 'fields', image: describe(content, MANY), reason: /invalid image data: name, os, homepage/ },
    { name: 'nouuid', image: describe(content, { uuid: undefined }), reason: /has no "uuid"/ },
    { name: 'json', image: '{"v": 2,', reason: /is not JSON/ },
  ]
  for (const { name, image } of wrong) {
    put(folder, `${name}.imgmanifest`, image)
    put(folder, `${name}.zfs`, content)
  }
  const failed = join(folder, 'failed')
  await until('all are aside', () => namesIn(folder).join() === 'failed')
  expect(namesIn(failed)).toEqual(
    wrong.flatMap(({ name }) => [`${name}.imgmanifest`, `${name}.imgmanifest.error`, `${name}.zfs`]).sort(),
  )
  for (const { name, reason } of wrong) {
    expect(readFileSync(join(failed, `${name}.imgmanifest.error`), 'utf8')).toMatch(reason)
    await until('it is told', () => isLogged(server, `drop folder: ${name}.imgmanifest: `, 50))
  }
  expect((await call(server, 'GET', '/images?state=all')).body).toEqual([])
  // All that is wrong, and what to write instead.
  const report = readFileSync(join(failed, 'fields.imgmanifest.error'), 'utf8')
  const { msg } = server.log().find(({ level, msg }) => level === 50 && msg.includes('fields.imgmanifest'))!
  for (const said of [report, msg]) {
    expect(said).toMatch(/name: image name has invalid characters.*os: invalid image os.*homepage: invalid/)
    expect(said).toContain('error: name: image name has invalid characters')
    expect(said).toContain('write for example "no-name"')
    expect(said).toContain('write "os": "linux"')
    expect(said).toContain('warning: generate_passwords: is text, not a flag: write true without quotes')
  }
  expect(readFileSync(join(failed, 'json.imgmanifest.error'), 'utf8')).toMatch(/line 1, column \d+/)
})

test('an image that comes before its origin waits for it', async () => {
  const { server, folder } = await prepare()
  const [below, above] = [bytes(1000), bytes(2000)]
  const origin = describe(below)
  const image = describe(above, { origin: origin.uuid })
  put(folder, 'a.imgmanifest', image)
  put(folder, 'a.zfs', above)
  await until('it waits', () => isLogged(server, `waits for its origin ${origin.uuid}`))
  put(folder, 'b.zfs', below)
  put(folder, 'b.imgmanifest', origin)
  await until('the folder is empty', () => namesIn(folder).length === 0)
  expect(await stateOf(server, image.uuid)).toBe('active')
})

test('images put in while the server is killed again and again all arrive, each whole', async () => {
  const { server: first, folder } = await prepare()
  const contents = Array.from({ length: 12 }, () => bytes(1_500_000))
  const images = contents.map(content => describe(content))
  for (const [index, content] of contents.entries()) {
    // As rsync does: under another name, and then renamed.
    put(folder, `.i${index}.zfs.Ab3`, content)
    renameSync(join(folder, `.i${index}.zfs.Ab3`), join(folder, `i${index}.zfs`))
    put(folder, `i${index}.imgmanifest`, images[index]!)
  }
  let server = first
  for (const arrived of [1, 4, 8]) {
    await until(
      'some are published',
      async () => (await call(server, 'GET', '/images')).body.length >= arrived,
    )
    await server.kill()
    server = await startServer({ folder: first.folder })
  }
  await until('the folder is empty', () => namesIn(folder).length === 0)
  expect((await call(server, 'GET', '/images?state=all')).body).toHaveLength(12)
  for (const [index, { uuid }] of images.entries()) {
    expect(await stateOf(server, uuid)).toBe('active')
    const file = await fetch(`${server.url}/images/${uuid}/file`)
    expect(sha1(new Uint8Array(await file.arrayBuffer()))).toBe(sha1(contents[index]!))
  }
})

test('an image that a crash left without its file is finished, and an unfinished image of a client stays', async () => {
  const { server, folder } = await prepare()
  const content = bytes(1000)
  const begun = describe(content, { name: 'begun' })
  const theirs = describe(content, { name: 'theirs' })
  for (const body of [begun, { ...theirs, name: 'another' }]) {
    const { status } = await call(server, 'POST', `/images/${body.uuid}?action=import`, { body })
    expect(status).toBe(200)
  }
  for (const image of [begun, theirs]) {
    put(folder, `${image.name}.zfs`, content)
    put(folder, `${image.name}.imgmanifest`, image)
  }
  await until('both have left', () => namesIn(folder).join() === 'failed')
  expect(await stateOf(server, begun.uuid)).toBe('active')
  expect(await stateOf(server, theirs.uuid)).toBe('unactivated')
  expect(namesIn(join(folder, 'failed'))).toEqual([
    'theirs.imgmanifest',
    'theirs.imgmanifest.error',
    'theirs.zfs',
  ])
})

test('the folder may be elsewhere, as the config says, and none is made where none is wanted', async () => {
  const server = await startServer({ config: { incoming: 'drop' } })
  const folder = join(server.folder, 'drop')
  mkdirSync(folder)
  const content = bytes(10)
  const image = describe(content)
  put(folder, 'a.zfs', content)
  put(folder, 'a.json', image)
  await until('it is published', async () => (await stateOf(server, image.uuid)) === 'active')
  expect(existsSync(join(server.datadir, 'incoming'))).toBe(false)
})

test('a link is no image file: what it leads to is not published', async () => {
  const { server, folder } = await prepare()
  const content = bytes(100)
  put(server.folder, 'secret', content)
  const image = describe(content)
  symlinkSync(join(server.folder, 'secret'), join(folder, 'a.zfs'))
  put(folder, 'a.json', image)
  await until('it waits', () => isLogged(server, 'a.json waits for its file'))
  expect((await call(server, 'GET', '/images?state=all')).body).toEqual([])
  expect(namesIn(folder)).toEqual(['a.json', 'a.zfs'])
})

test('a manifest that a crash left alone after the publishing goes at the start; one that waits stays', async () => {
  const { server, folder } = await prepare()
  const content = bytes(100)
  const image = describe(content)
  const other = describe(content)
  put(folder, 'a.zfs', content)
  put(folder, 'a.json', image)
  await until('the folder is empty', () => namesIn(folder).length === 0)
  await server.kill()
  put(folder, 'a.json', image)
  put(folder, 'b.json', other)
  await startServer({ folder: server.folder })
  await until('one has gone', () => namesIn(folder).join() === 'b.json')
  put(folder, 'b.zfs', content)
  await until('the folder is empty again', () => namesIn(folder).length === 0)
})
