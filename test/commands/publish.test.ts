import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { bytes, call, publish, sha1, uuid } from '../support/api.ts'
import { cli, done, startCli } from '../support/cli.ts'
import { startServer, temporaryFolder } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'
import { sendJson, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

/** Publishing as an operator does it: a manifest, a file, and whatever goes wrong in between. */

const sharedServer = shared(startServer)

const manifestOf = (content: Uint8Array, changes: Record<string, unknown> = {}) => ({
  v: 2,
  uuid: uuid(),
  owner: '00000000-0000-0000-0000-000000000000',
  name: 'web',
  version: '1.0.0',
  type: 'zone-dataset',
  os: 'smartos',
  files: [{ sha1: sha1(content), size: content.length, compression: 'gzip' }],
  ...changes,
})

const content = gzipSync(bytes(2000))

function writePair(folder: string, stem: string, manifest: object, file = content, ending = '.zfs.gz') {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${stem}.imgmanifest`), JSON.stringify(manifest))
  writeFileSync(join(folder, `${stem}${ending}`), file)
  return join(folder, `${stem}.imgmanifest`)
}

test('publish imports, uploads and activates; the file is found beside the manifest; again it says so', async () => {
  const server = await sharedServer()
  const manifest = manifestOf(content, { published_at: '2020-02-02T02:02:02.222Z', tags: { role: 'web' } })
  const path = writePair(temporaryFolder(), 'web-1.0.0', manifest)
  const first = await done(cli(server, ['publish', '-m', path]))
  expect(first.stdout).toBe(`published: ${manifest.uuid} (web 1.0.0)\n`)
  const image = (await call(server, 'GET', `/images/${manifest.uuid}`)).body
  expect(image).toMatchObject({ ...manifest, state: 'active' })
  const again = await done(cli(server, ['publish', '-m', path]))
  expect(again.stdout).toBe(`already there and identical: ${manifest.uuid} (web 1.0.0)\n`)
  expect((await call(server, 'GET', `/images/${manifest.uuid}`)).body).toEqual(image)
})

test('what builders write is taken: numbers as text, nulls, no files, other endings', async () => {
  const server = await sharedServer()
  for (const [ending, changes] of [
    [
      '.zfs.gz',
      { v: '2', files: [{ sha1: sha1(content), size: String(content.length), compression: 'gzip' }] },
    ],
    ['.zvol.gz', { files: undefined, homepage: null }],
    ['.tgz', { files: undefined, state: 'activated', disabled: 'false' }],
  ] as const) {
    const manifest = manifestOf(content, changes)
    const path = writePair(join(temporaryFolder(), ending), 'x', manifest, content, ending)
    await done(cli(server, ['publish', '-m', path]))
    expect((await call(server, 'GET', `/images/${manifest.uuid}`)).body).toMatchObject({
      state: 'active',
      v: 2,
      files: [{ sha1: sha1(content), size: content.length, compression: 'gzip' }],
    })
    expect((await done(cli(server, ['publish', '-m', path]))).stdout).toContain('already there and identical')
  }
})

describe('nothing is sent to the server when', () => {
  const other = gzipSync(bytes(2001))
  test.each([
    ['the file is another', manifestOf(other), content, 'the manifest says'],
    ['the file has one wrong bit', manifestOf(content), flipped(content), 'SHA-1'],
    [
      'the compression lies',
      manifestOf(bytes(9), { files: [{ compression: 'xz' }] }),
      content,
      'first bytes say',
    ],
    ['the manifest is wrong', manifestOf(content, { name: 'a b?' }), content, 'write for example "a b-"'],
    ['the file is empty', manifestOf(content, { files: undefined }), Buffer.alloc(0), 'is empty'],
  ])('%s', async (_why, manifest, file, said) => {
    const server = await startServer()
    const path = writePair(server.folder, 'web', manifest, file)
    const { code, stderr } = await cli(server, ['publish', '-q', '-m', path])
    expect({ code, lines: stderr.trimEnd().split('\n').length }).toEqual({ code: 1, lines: 1 })
    expect(stderr).toContain(said)
    await server.stop()
    expect(server.log().filter(({ route }) => route)).toEqual([])
  })
})

test('publish says all that is wrong with a manifest, and what may be better', async () => {
  const server = await sharedServer()
  const wrong = { name: 'a b?', os: 'QEMU', homepage: 'x', generate_passwords: 'true' }
  const path = writePair(temporaryFolder(), 'web', manifestOf(content, wrong))
  const { code, stderr } = await cli(server, ['publish', '-q', '-m', path])
  expect(code).toBe(1)
  for (const field of ['error: name', 'error: os', 'error: homepage', 'warning: generate_passwords']) {
    expect(stderr).toContain(`${path}: ${field}: `)
  }
  const odd = writePair(temporaryFolder(), 'odd', manifestOf(content, { generate_passwords: 'true' }))
  const published = await done(cli(server, ['publish', '-m', odd]))
  expect(published.stderr).toContain(`${odd}: warning: generate_passwords: is text, not a flag`)
})

test('publish says every problem that the server found', async () => {
  const server = await sharedServer({ config: { mode: 'public' } })
  const path = writePair(temporaryFolder(), 'web', manifestOf(content, { requirements: { min_ram: 1 } }))
  const { stderr } = await cli(server, ['publish', '-q', '-m', path])
  expect(stderr).toContain('public: private images are not allowed on a public Images API')
})

function flipped(file: Uint8Array) {
  const copy = Buffer.from(file)
  copy[copy.length - 1]! ^= 1
  return copy
}

test('an image that is there and differs is left alone, and the difference is named', async () => {
  const server = await sharedServer()
  const manifest = manifestOf(content)
  const path = writePair(temporaryFolder(), 'web', manifest)
  await done(cli(server, ['publish', '-m', path]))
  const before = (await call(server, 'GET', `/images/${manifest.uuid}`)).text
  writeFileSync(path, JSON.stringify({ ...manifest, description: 'new', version: '1.0.1' }))
  const { code, stderr } = await cli(server, ['publish', '-q', '-m', path])
  expect(code).toBe(1)
  expect(stderr).toContain('differs in version, description')
  expect((await call(server, 'GET', `/images/${manifest.uuid}`)).text).toBe(before)
})

test.each(['SIGKILL', 'SIGINT'] as const)('an upload that %s ends is completed by the next', async signal => {
  const server = await sharedServer()
  const large = gzipSync(bytes(64 * 1024 * 1024), { level: 0 })
  const manifest = manifestOf(large)
  const path = writePair(temporaryFolder(), 'web', manifest, large)
  const command = startCli(server, ['publish', '-q', '-m', path])
  const isImported = async () => (await call(server, 'GET', `/images/${manifest.uuid}`)).status === 200
  await until('the manifest to be there', isImported)
  command.signal(signal)
  const { code, stderr } = await command.ended
  if (signal === 'SIGINT')
    expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringContaining('again') })
  const left = (await call(server, 'GET', `/images/${manifest.uuid}`)).body
  expect(left.state).toBe('unactivated')
  expect((await done(cli(server, ['publish', '-q', '-m', path, '--json']))).stdout).toContain('"completed"')
  const { body } = await call(server, 'GET', `/images/${manifest.uuid}`)
  expect(body).toMatchObject({ state: 'active', files: manifest.files })
  const file = await fetch(`${server.url}/images/${manifest.uuid}/file`)
  expect(sha1(new Uint8Array(await file.arrayBuffer()))).toBe(sha1(large))
})

test('when the server refuses the file, the image that was begun is taken back', async () => {
  const server = await sharedServer({ config: { maxImageSize: 1000 } })
  const manifest = manifestOf(content)
  const path = writePair(temporaryFolder(), 'web', manifest)
  const { code, stderr } = await cli(server, ['publish', '-q', '-m', path])
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('maximum allowed size') })
  expect((await call(server, 'GET', `/images/${manifest.uuid}`)).status).toBe(404)
})

test('when it cannot be taken back, the error says what is left and what to do', async () => {
  const source = await startSource((request, response) => {
    if (request.method === 'GET')
      return sendJson(response, 404, { code: 'ResourceNotFound', message: 'none' })
    if (request.url?.includes('action=import')) return sendJson(response, 200, { uuid: 'x' })
    sendJson(response, 500, { code: 'InternalError', message: 'broken' })
  })
  const manifest = manifestOf(content)
  const path = writePair(temporaryFolder(), 'web', manifest)
  const { code, stderr } = await cli(source, ['publish', '-q', '-m', path])
  expect(code).toBe(1)
  expect(stderr).toContain(`the unfinished image ${manifest.uuid} is still on the server`)
})

test('a folder is published with origins first, past what is wrong, and again without doing anything', async () => {
  const server = await sharedServer()
  const folder = join(temporaryFolder(), 'images')
  const base = manifestOf(content, { name: 'base' })
  const child = manifestOf(content, { name: 'child', origin: base.uuid })
  const grandchild = manifestOf(content, { name: 'grandchild', origin: child.uuid })
  writePair(folder, 'a-grandchild', grandchild)
  writePair(folder, 'b-child', child)
  writePair(folder, 'c-base', base)
  writeFileSync(join(folder, 'package.json'), '{}')
  const ok = await done(cli(server, ['publish', folder]))
  expect(ok.stdout.split('\n').filter(line => line.startsWith('published: '))).toHaveLength(3)
  writeFileSync(join(folder, 'lonely.imgmanifest'), JSON.stringify(manifestOf(content)))
  const again = await cli(server, ['publish', '-q', '--json', folder])
  expect(again.code).toBe(1)
  expect(again.stderr).toContain('lonely.imgmanifest')
  const outcomes = JSON.parse(again.stdout).map(({ outcome }: { outcome: string }) => outcome)
  expect(outcomes.sort()).toEqual(['already there', 'already there', 'already there', 'failed'])
})

test('an image whose origin fails is not tried', async () => {
  const server = await sharedServer()
  const folder = join(temporaryFolder(), 'images')
  const base = manifestOf(content, { name: 'base', origin: uuid() })
  const child = manifestOf(content, { name: 'child', origin: base.uuid })
  writePair(folder, 'base', base)
  writePair(folder, 'child', child)
  const { code, stderr } = await cli(server, ['publish', '-q', folder])
  expect(code).toBe(1)
  expect(stderr).toContain('OriginDoesNotExist')
  expect(stderr).toContain(`child.imgmanifest: its origin ${base.uuid} was not published`)
})

test('publish without a manifest, and a folder without any, are told apart from success', async () => {
  const server = await sharedServer()
  expect((await cli(server, ['publish'])).code).toBe(2)
  expect((await cli(server, ['publish', temporaryFolder()])).code).toBe(3)
  const image = await publish(server)
  expect(image.state).toBe('active')
})
