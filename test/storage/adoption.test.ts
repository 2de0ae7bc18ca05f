import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { bytes, call, md5, uuid as newUuid, sha1 } from '../support/api.ts'
import { namesIn, treeOf } from '../support/folders.ts'
import { storeAsPredecessor } from '../support/predecessor.ts'
import { runProgram } from '../support/program.ts'
import { AUTH, startServer, type TestServer, temporaryFolder } from '../support/server.ts'
import { until } from '../support/until.ts'

const OURS = ['.tmp', '.cache', '.jobs', '.lock']
const WRITTEN = new Date('2014-03-02T10:20:30.456Z')
const BZIP2 = Buffer.concat([Buffer.from('BZh91AY&SY'), bytes(3000)])

/** The predecessor's data directory, with one image of each kind. */
function predecessor() {
  const folder = temporaryFolder()
  const datadir = join(folder, 'data')
  const gzip = gzipSync(bytes(1_234_567))
  const png = bytes(700)
  const store = (stored: Partial<Parameters<typeof storeAsPredecessor>[1]>) =>
    storeAsPredecessor(datadir, { uuid: newUuid(), written: WRITTEN, ...stored })
  const images = {
    active: store({ file: gzip }),
    activated: store({ file: gzipSync(bytes(500)), manifest: { state: 'activated' } }),
    bzip2: store({ file: BZIP2, compression: 'bzip2' }),
    disabled: store({ file: gzipSync(bytes(600)), manifest: { disabled: true } }),
    unactivated: store({}),
    unactivatedWithEmptyList: store({ manifest: { files: [] } }),
    unactivatedWithNull: store({ manifest: { files: null } }),
    png: store({ file: gzipSync(bytes(800)), icon: { name: 'icon.png', content: png } }),
    jpg: store({ file: gzipSync(bytes(900)), icon: { name: 'icon.jpg', content: bytes(300) } }),
    gif: store({ icon: { name: 'icon.gif', content: bytes(200) } }),
    odd: store({
      file: gzipSync(bytes(100)),
      manifest: { name: 'a name: with (odd) words', vendor: { of: 'an older time' }, os: 'plan9' },
    }),
  }
  return { folder, datadir, images, gzip, png }
}

const get = (server: TestServer, uuid: string) => call(server, 'GET', `/images/${uuid}`)

async function download(server: TestServer, path: string) {
  const response = await fetch(server.url + path, { headers: AUTH })
  return { response, content: Buffer.from(await response.arrayBuffer()) }
}

test('every image of the predecessor is served as it stands, and nothing of it is written', async () => {
  const { folder, datadir, images, gzip } = predecessor()
  const before = treeOf(datadir)
  const server = await startServer({ folder })
  for (const uuid of Object.values(images)) {
    const { body, status } = await get(server, uuid)
    expect(status).toBe(200)
    if (body.files.length > 0) {
      const { response, content } = await download(server, `/images/${uuid}/file`)
      expect(response.headers.get('content-md5')).toBe(md5(content))
      expect(sha1(content)).toBe(body.files[0].sha1)
    }
    if (body.icon) expect((await download(server, `/images/${uuid}/icon`)).response.status).toBe(200)
  }
  expect((await get(server, images.active)).body).toEqual({
    v: 2,
    uuid: images.active,
    owner: '00000000-0000-0000-0000-000000000000',
    name: 'base64',
    version: '13.4.0',
    state: 'active',
    disabled: false,
    public: false,
    published_at: WRITTEN.toISOString(),
    type: 'zone-dataset',
    os: 'smartos',
    files: [{ sha1: sha1(gzip), size: gzip.length, compression: 'gzip' }],
  })
  expect(readFileSync(join(datadir, images.active, 'manifest.json'), 'utf8')).toMatch(/"size": 1\.\d+e\+06/)
  expect(server.log().filter(({ level }) => level > 30)).toEqual([])
  await server.stop()
  expect(treeOf(datadir, { except: OURS })).toEqual(before)
})

test('the states of the predecessor mean what they meant', async () => {
  const { folder, images } = predecessor()
  const server = await startServer({ folder })
  const states = async (uuid: string) => {
    const { state, disabled } = (await get(server, uuid)).body
    return [state, disabled]
  }
  expect(await states(images.active)).toEqual(['active', false])
  expect(await states(images.activated)).toEqual(['active', false])
  expect(await states(images.disabled)).toEqual(['disabled', true])
  for (const uuid of [images.unactivated, images.unactivatedWithEmptyList, images.unactivatedWithNull]) {
    expect(await states(uuid)).toEqual(['unactivated', false])
    expect((await get(server, uuid)).body).toMatchObject({ files: [] })
    expect((await get(server, uuid)).body.published_at).toBeUndefined()
  }
  const { body } = await call(server, 'GET', '/images', { anonymous: true })
  const { active, activated, bzip2, png, jpg, odd } = images
  expect(body.map(({ uuid }: { uuid: string }) => uuid).sort()).toEqual(
    [active, activated, bzip2, png, jpg, odd].sort(),
  )
})

test('compression, icons and unknown words of the predecessor are kept', async () => {
  const { folder, images, png } = predecessor()
  const server = await startServer({ folder })
  expect((await get(server, images.bzip2)).body.files[0].compression).toBe('bzip2')
  const types = { png: 'image/png', jpg: 'image/jpeg', gif: 'image/gif' }
  for (const [name, type] of Object.entries(types)) {
    const uuid = images[name as 'png']
    expect((await get(server, uuid)).body.icon).toBe(true)
    const { response, content } = await download(server, `/images/${uuid}/icon`)
    expect(response.headers.get('content-type')).toBe(type)
    expect(response.headers.get('content-md5')).toBe(md5(content))
    if (name === 'png') expect(content.equals(png)).toBe(true)
  }
  const odd = { name: 'a name: with (odd) words', vendor: { of: 'an older time' }, os: 'plan9' }
  expect((await get(server, images.odd)).body).toMatchObject(odd)
})

test('a change of one image writes that one’s manifest alone, with its date of publication', async () => {
  const { folder, datadir, images } = predecessor()
  const before = treeOf(datadir)
  const first = await startServer({ folder })
  await first.stop()
  const server = await startServer({ folder })
  const update = { body: { description: 'changed' } }
  const changed = await call(server, 'POST', `/images/${images.active}?action=update`, update)
  expect(changed.body).toMatchObject({ description: 'changed', published_at: WRITTEN.toISOString() })
  await server.stop()
  const stored = JSON.parse(readFileSync(join(datadir, images.active, 'manifest.json'), 'utf8'))
  expect(stored).toMatchObject({ published_at: WRITTEN.toISOString(), state: 'active' })
  expect(statSync(join(datadir, images.active, 'manifest.json')).mtimeMs).not.toBe(WRITTEN.getTime())
  const after = treeOf(datadir, { except: OURS })
  const differing = Object.keys(after).filter(path => after[path] !== before[path])
  expect(differing.sort()).toEqual([images.active, join(images.active, 'manifest.json')])
  const again = await startServer({ folder })
  expect((await get(again, images.active)).body).toEqual(changed.body)
  expect((await download(again, `/images/${images.active}/file`)).response.status).toBe(200)
})

test('an unactivated image of the predecessor can be finished, a finished one can be deleted', async () => {
  const { folder, datadir, images } = predecessor()
  const server = await startServer({ folder })
  const content = gzipSync(bytes(4000))
  const path = `/images/${images.unactivated}`
  expect((await call(server, 'PUT', `${path}/file`, { body: content })).status).toBe(200)
  expect((await call(server, 'POST', `${path}?action=activate`)).body.state).toBe('active')
  for (const uuid of [images.active, images.disabled, images.png]) {
    expect((await call(server, 'DELETE', `/images/${uuid}`)).status).toBe(204)
    expect(namesIn(datadir)).not.toContain(uuid)
  }
  expect((await call(server, 'DELETE', `/images/${images.jpg}/icon`)).status).toBe(200)
  expect(namesIn(join(datadir, images.jpg))).toEqual(['image.gz', 'manifest.json'])
  expect((await call(server, 'POST', `/images/${images.disabled}?action=enable`)).status).toBe(404)
})

test('the md5 of adopted files is computed unasked and kept, and made again if it is lost', async () => {
  const { folder, datadir, images, gzip } = predecessor()
  const server = await startServer({ folder })
  const cached = join(datadir, '.cache', `${images.active}.json`)
  const isKept = () =>
    until('the md5 kept', () => namesIn(join(datadir, '.cache')).includes(`${images.active}.json`))
  await isKept()
  expect(JSON.parse(readFileSync(cached, 'utf8')).md5).toBe(Buffer.from(md5(gzip), 'base64').toString('hex'))
  await server.stop()
  writeFileSync(cached, 'not JSON at all')
  const again = await startServer({ folder })
  const { response } = await download(again, `/images/${images.active}/file`)
  expect(response.headers.get('content-md5')).toBe(md5(gzip))
})

test('check finds nothing wrong with what the predecessor left, where it followed the rules', async () => {
  const { folder, datadir, images } = predecessor()
  const before = treeOf(datadir)
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ datadir: 'data' }))
  const { stdout, code } = await runProgram('check', '-c', join(folder, 'config.json'), '--json')
  const { problems } = JSON.parse(stdout)
  expect(problems.map(({ subject }: { subject: string }) => subject)).toEqual(problems.map(() => images.odd))
  expect(code).toBe(1)
  expect(treeOf(datadir)).toEqual(before)
})

test('what does not belong to us is left where it is', async () => {
  const { folder, datadir } = predecessor()
  mkdirSync(join(datadir, 'lost+found'))
  mkdirSync(join(datadir, 'lost+found', 'inside'))
  mkdirSync(join(datadir, newUuid()))
  writeFileSync(join(datadir, newUuid()), 'a file with the name of an image')
  writeFileSync(join(datadir, 'NOTES.txt'), 'do not delete')
  mkdirSync(join(datadir, 'ABCDEF00-0000-0000-0000-000000000000'))
  const before = treeOf(datadir)
  const server = await startServer({ folder })
  expect((await call(server, 'GET', '/images?state=all')).body).toHaveLength(11)
  await server.stop()
  expect(treeOf(datadir, { except: OURS })).toEqual(before)
})
