import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { addFile, bytes, call, create, type Manifest, manifest, publish, uuid } from '../support/api.ts'
import { namesIn } from '../support/folders.ts'
import { runProgram } from '../support/program.ts'
import { startServer, type TestServer, temporaryFolder } from '../support/server.ts'

/**
 * Folders of images that come from somewhere else: a copied folder is a copied image, whatever its manifest says and
 * whatever lies in it. Nothing outside of it is served, changed or removed, the server starts, and the image alone
 * says what is wrong.
 */

const SECRET = 'the bytes of another file, which is no image'

const pipe = (path: string) => {
  rmSync(path, { recursive: true, force: true })
  execFileSync('mkfifo', [path])
}
const link = (path: string, target: string) => {
  rmSync(path, { recursive: true, force: true })
  symlinkSync(target, path)
}

interface Harmed {
  folder: string
  manifestPath: string
  imageFile: string
  secret: string
}

const edit = ({ manifestPath }: Harmed, change: (document: Document) => void) => {
  const document = JSON.parse(readFileSync(manifestPath, 'utf8'))
  change(document)
  writeFileSync(manifestPath, JSON.stringify(document))
}

// biome-ignore lint/suspicious/noExplicitAny: what a hostile manifest may look like
type Document = any

const nameFile = (name: unknown) => (harmed: Harmed) =>
  edit(harmed, document => {
    document._imgapi.files[0].name = name
    document.files[0].size = SECRET.length
  })

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`

/** What was done to the folder of an image, and what the image then says. */
const HARMS: readonly (readonly [what: string, harm: (harmed: Harmed) => void, reason: RegExp])[] = [
  ['a name that leads outside', nameFile('../../secret'), /its "_imgapi" names a file "\.\.\/\.\.\/secret"/],
  ['a name that is a path', nameFile('/etc/hostname'), /names a file "\/etc\/hostname"/],
  ['a name that is the folder above', nameFile('..'), /names a file "\.\."/],
  ['a name that is the folder itself', nameFile('.'), /names a file "\."/],
  ['no name', nameFile(''), /names a file ""/],
  ['a name with a zero byte', nameFile('image\0.zfs'), /names a file/],
  ['a name that is no text', nameFile(['../../secret']), /names a file/],
  ['the manifest as its file', nameFile('manifest.json'), /names a file "manifest.json"/],
  [
    'an icon that leads outside',
    harmed =>
      edit(harmed, document => {
        const icon = { name: '../../secret', size: SECRET.length, mtime: '2020-01-01T00:00:00.000Z' }
        document._imgapi.icon = { ...icon, sha1: 'a'.repeat(40), contentType: 'image/png' }
        document.icon = true
      }),
    /names a file/,
  ],
  [
    'an icon that a browser would run',
    harmed =>
      edit(harmed, document => {
        const icon = { name: 'icon-00000000.png', size: 1, mtime: '2020-01-01T00:00:00.000Z' }
        document._imgapi.icon = { ...icon, sha1: 'a'.repeat(40), contentType: 'text/html' }
        document.icon = true
      }),
    /has an icon that is not valid/,
  ],
  [
    'no list of files',
    harmed => edit(harmed, document => (document._imgapi.files = 7)),
    /"_imgapi" is not valid/,
  ],
  [
    'an md5 that is none',
    harmed => edit(harmed, document => (document._imgapi.files[0].md5 = { toString: 1 })),
    /"_imgapi" is not valid/,
  ],
  [
    'a file that is a link',
    ({ imageFile, secret }) => link(imageFile, secret),
    /the file image-.* is a symbolic link, which is not followed: put the file itself in its place/,
  ],
  ['a file that is a pipe', ({ imageFile }) => pipe(imageFile), /the file image-.* is a pipe/],
  [
    'a file that is a folder',
    ({ imageFile }) => {
      rmSync(imageFile)
      mkdirSync(imageFile)
    },
    /the file image-.* is a directory, not a file/,
  ],
  [
    'a manifest that is a link',
    ({ manifestPath, folder }) => {
      renameSync(manifestPath, join(folder, 'elsewhere.json'))
      symlinkSync('elsewhere.json', manifestPath)
    },
    /cannot be read: is a symbolic link/,
  ],
  [
    'a manifest that is a link to nowhere',
    ({ manifestPath }) => link(manifestPath, 'nowhere.json'),
    /cannot be read: is a symbolic link/,
  ],
  ['a manifest that is a pipe', ({ manifestPath }) => pipe(manifestPath), /cannot be read: is a pipe/],
  [
    'a manifest that is a folder',
    ({ manifestPath }) => {
      rmSync(manifestPath)
      mkdirSync(manifestPath)
    },
    /cannot be read: is a directory/,
  ],
  [
    'a manifest of 5 MiB',
    harmed => edit(harmed, document => (document.more = 'x'.repeat(5 * 1024 * 1024))),
    /cannot be read: has \d+ bytes, more than/,
  ],
  [
    'a manifest nested 5,000 deep',
    ({ manifestPath }) => {
      const text = readFileSync(manifestPath, 'utf8')
      writeFileSync(manifestPath, text.replace('{', `{"more": ${nested(5000)},`))
    },
    /cannot be read: is nested deeper than 64 levels/,
  ],
  [
    'a manifest that grows a hundredfold when it is shown',
    ({ manifestPath }) => {
      const wide = `${'['.repeat(60)}${Array(1_000_000).fill(1)}${']'.repeat(60)}`
      writeFileSync(manifestPath, readFileSync(manifestPath, 'utf8').replace('{', `{"more": ${wide},`))
    },
    /cannot be read: is larger than \d+ characters/,
  ],
  [
    'a flag that is none',
    harmed => edit(harmed, document => (document.public = 'yes')),
    /its "public" is not valid/,
  ],
]

const readAll = async (server: TestServer) => {
  for (const query of [
    '',
    '?state=all',
    `?account=${uuid()}`,
    '?tag.a=b',
    '?billing_tag=a',
    '?sort=published_at.desc',
    '?inclAdminFields=true',
    '?limit=2',
  ]) {
    const answer = await call(server, 'GET', `/images${query}`)
    expect(answer.status, `${query}: ${answer.text.slice(0, 200)}`).toBe(200)
    expect(answer.text).not.toContain(SECRET)
  }
}

/** Two images for each harm, one active and one that may still get another file. */
async function startHarmed(config: Record<string, unknown> = {}) {
  const first = await startServer({ config })
  const secret = join(first.datadir, 'secret')
  const images: { what: string; reason: RegExp; uuid: string; harm(): void }[] = []
  for (const [what, harm, reason] of HARMS) {
    const active = await publish(first, bytes(SECRET.length))
    const begun = await create(first)
    await addFile(first, begun.uuid, bytes(SECRET.length))
    for (const image of [active, begun]) {
      const folder = join(first.datadir, image.uuid)
      const name = namesIn(folder).find(entry => entry.startsWith('image'))!
      const harmed = {
        folder,
        secret,
        manifestPath: join(folder, 'manifest.json'),
        imageFile: join(folder, name),
      }
      images.push({ what, reason, uuid: image.uuid, harm: () => harm(harmed) })
    }
  }
  const fine = await publish(first)
  await first.stop()
  writeFileSync(secret, SECRET)
  for (const { harm } of images) harm()
  const server = await startServer({ folder: first.folder, config })
  return { server, images, fine, secret }
}

test('the server starts, and each image that was harmed says how; no byte of another file goes out', async () => {
  const { server, images, fine, secret } = await startHarmed()
  await readAll(server)
  const listed = (await call(server, 'GET', '/images')).body.map((image: Manifest) => image.uuid)
  expect(listed).toContain(fine.uuid)
  const reported = server.log().filter(({ level }) => level >= 50)
  for (const { what, reason, uuid: id } of images) {
    expect(
      reported.some(({ msg }) => msg.includes(id) && reason.test(msg)),
      what,
    ).toBe(true)
    for (const path of ['', '/file']) {
      const answer = await call(server, 'GET', `/images/${id}${path}`)
      expect(answer, what).toMatchObject({
        status: 503,
        body: { code: 'StorageIsDown', message: expect.stringMatching(reason) },
      })
    }
  }
  expect(reported).toHaveLength(images.length)
  expect(readFileSync(secret, 'utf8')).toBe(SECRET)
})

test('nothing outside of an image’s folder is removed when its file is replaced or it is deleted', async () => {
  const { server, images, secret } = await startHarmed()
  for (const { uuid: id } of images) {
    await call(server, 'PUT', `/images/${id}/file?compression=none`, { body: bytes(10) })
    await call(server, 'PUT', `/images/${id}/icon`, {
      headers: { 'content-type': 'image/png' },
      body: bytes(10),
    })
    await call(server, 'DELETE', `/images/${id}/icon`)
    await call(server, 'DELETE', `/images/${id}`)
    expect(readFileSync(secret, 'utf8')).toBe(SECRET)
  }
  await server.stop()
  for (const command of ['check', 'gc']) {
    const { stdout, stderr } = await runProgram(command, '-c', server.configPath)
    expect(stdout + stderr).not.toContain(SECRET)
  }
  // What is beside a manifest that cannot be read may be the only copy.
  const kept = () => images.map(({ uuid: id }) => namesIn(join(server.datadir, id)))
  const before = kept()
  const deleted = await runProgram('gc', '-c', server.configPath, '--delete', '--days', '0')
  expect(deleted.code, deleted.stderr).toBe(0)
  const after = kept()
  for (const [index, names] of before.entries()) {
    const isUnreadable = /cannot be read/.test(String(images[index]!.reason))
    if (isUnreadable) expect(after[index]).toEqual(names)
  }
  expect(readFileSync(secret, 'utf8')).toBe(SECRET)
})

test('values that no server of ours would have written break no list', async () => {
  const first = await startServer()
  const values = [5, null, 'text', true, {}, [], { length: -1 }, [[]]]
  const fields = [
    'acl',
    'tags',
    'billing_tags',
    'channels',
    'published_at',
    'origin',
    'requirements',
    'users',
    'v',
  ]
  const images = await Promise.all(
    fields.flatMap(field =>
      values.map(async value => ({ field, value, image: await publish(first, bytes(10)) })),
    ),
  )
  await first.stop()
  for (const { field, value, image } of images) {
    const manifestPath = join(first.datadir, image.uuid, 'manifest.json')
    edit({ manifestPath } as Harmed, document => {
      document[field] = value
    })
  }
  const server = await startServer({ folder: first.folder })
  await readAll(server)
  // What is shown of a date that is none is up to its writer; the others are in their order.
  const { body } = await call(server, 'GET', '/images')
  const times = body
    .map((image: Manifest) => image.published_at)
    .filter((time: unknown) => /^\d{4}-/.test(String(time)))
  expect(times).toEqual([...times].sort())
})

test('an image that claims to take the place of another does not remove it', async () => {
  const first = await startServer()
  const victim = await publish(first)
  const begun = await create(first)
  await addFile(first, begun.uuid, bytes(20))
  const hostile = await create(first)
  const other = await create(first)
  await first.stop()
  for (const [image, replaces] of [
    [hostile, victim.uuid],
    [other, begun.uuid],
  ] as const) {
    const manifestPath = join(first.datadir, image.uuid, 'manifest.json')
    edit({ manifestPath } as Harmed, document => {
      document._imgapi.replaces = replaces
    })
  }
  const server = await startServer({ folder: first.folder })
  for (const { uuid: id } of [victim, begun, hostile, other]) {
    expect((await call(server, 'GET', `/images/${id}`)).status).toBe(200)
  }
})

test('a file that is exchanged for a link or a pipe while the server runs is not followed', async () => {
  const server = await startServer({ config: { mode: 'dc', accel: { prefix: '/stored' } } })
  const secret = join(server.folder, 'secret')
  writeFileSync(secret, SECRET)
  for (const [harm, reason] of [
    [(path: string) => link(path, secret), /is a symbolic link/],
    [pipe, /is a pipe/],
  ] as const) {
    const owner = uuid()
    const image = await publish(server, bytes(SECRET.length), { owner, public: false, acl: [owner] })
    const begun = await create(server, { owner })
    await addFile(server, begun.uuid, bytes(SECRET.length))
    const headers = { 'content-type': 'image/png' }
    await call(server, 'PUT', `/images/${image.uuid}/icon`, { headers, body: bytes(10) })
    for (const { uuid: id } of [image, begun]) {
      const folder = join(server.datadir, id)
      for (const name of namesIn(folder)) if (name !== 'manifest.json') harm(join(folder, name))
    }
    const down = { status: 503, body: { code: 'StorageIsDown', message: expect.stringMatching(reason) } }
    for (const path of ['file', 'icon']) {
      for (const range of [{}, { range: 'bytes=0-3' }, { 'if-none-match': '"other"' }]) {
        const answer = await call(server, 'GET', `/images/${image.uuid}/${path}`, {
          headers: range as Record<string, string>,
        })
        expect(answer).toMatchObject(down)
        expect(answer.headers.get('x-accel-redirect')).toBeNull()
      }
    }
    // Copies by a second name: a clone, and a change of UUID.
    const cloned = await call(server, 'POST', `/images/${image.uuid}/clone?account=${uuid()}`)
    expect(cloned.status, cloned.text).toBeGreaterThanOrEqual(400)
    const changed = await call(server, 'POST', `/images/${begun.uuid}?action=update`, {
      body: { uuid: uuid() },
    })
    expect(changed.status, changed.text).toBeGreaterThanOrEqual(400)
    expect((await call(server, 'GET', '/images?state=all')).text).not.toContain(SECRET)
  }
  expect(readFileSync(secret, 'utf8')).toBe(SECRET)
})

test('what the predecessor, or another program, left is adopted without following links', async () => {
  const folder = temporaryFolder()
  const datadir = join(folder, 'data')
  const secret = join(folder, 'secret')
  const images = {
    file: uuid(),
    icon: uuid(),
    iconPipe: uuid(),
    otherName: uuid(),
  }
  mkdirSync(datadir)
  writeFileSync(secret, SECRET)
  for (const id of Object.values(images)) {
    mkdirSync(join(datadir, id))
    const files = [{ sha1: 'a'.repeat(40), size: SECRET.length, compression: 'none' }]
    const document = { v: 2, uuid: id, state: 'active', public: true, icon: true, ...manifest(), files }
    writeFileSync(join(datadir, id, 'manifest.json'), JSON.stringify(document))
    if (id !== images.file && id !== images.otherName) writeFileSync(join(datadir, id, 'image.gz'), SECRET)
  }
  symlinkSync(secret, join(datadir, images.file, 'image.gz'))
  symlinkSync(secret, join(datadir, images.otherName, 'my-image.zfs'))
  symlinkSync(secret, join(datadir, images.icon, 'icon.png'))
  pipe(join(datadir, images.iconPipe, 'icon.png'))
  const server = await startServer({ folder })
  for (const [id, path, status] of [
    [images.file, 'file', 503],
    [images.otherName, 'file', 503],
    [images.icon, 'icon', 404],
    [images.iconPipe, 'icon', 404],
    [images.icon, 'file', 200],
  ] as const) {
    const answer = await call(server, 'GET', `/images/${id}/${path}`)
    expect(answer.status, `${path} ${answer.text}`).toBe(status)
  }
  expect((await call(server, 'GET', `/images/${images.file}`)).body.message).toMatch(/is a symbolic link/)
})

test('records, caches and keys that are pipes or links keep no server from starting', async () => {
  const first = await startServer({ config: { mirrors: [] } })
  const image = await publish(first)
  await first.stop()
  const { datadir } = first
  const keys = join(datadir, 'etc', 'authkeys', 'local')
  for (const folder of ['.jobs', '.cache', '.mirrors']) mkdirSync(join(datadir, folder), { recursive: true })
  mkdirSync(keys, { recursive: true })
  pipe(join(datadir, '.jobs', `${uuid()}.json`))
  pipe(join(datadir, '.cache', `${image.uuid}.json`))
  pipe(join(keys, 'ann.keys'))
  symlinkSync('/proc/self/environ', join(datadir, '.jobs', `${uuid()}.json`))
  writeFileSync(join(datadir, '.jobs', `${uuid()}.json`), nested(100_000))
  // Without its md5 the server asks the cache for it.
  edit({ manifestPath: join(datadir, image.uuid, 'manifest.json') } as Harmed, document => {
    delete document._imgapi.files[0].md5
  })
  const server = await startServer({ folder: first.folder })
  const answer = await call(server, 'GET', `/images/${image.uuid}/file`)
  expect(answer.status).toBe(200)
  expect((await call(server, 'GET', '/jobs')).body).toEqual([])
  expect((await call(server, 'POST', '/authkeys/reload')).status).toBe(200)
})

test('the record of a mirror that is a pipe or a link is an error that says so', async () => {
  const source = 'http://127.0.0.1:1'
  const config = { mirrors: [{ source, interval: 100_000 }], allowPrivateSources: true }
  const first = await startServer({ config })
  const record = () => namesIn(join(first.datadir, '.mirrors')).find(name => name.endsWith('.json'))
  await expect.poll(record, { timeout: 10_000 }).toBeDefined()
  await first.stop()
  const path = join(first.datadir, '.mirrors', record()!)
  for (const [harm, reason] of [
    [pipe, /is a pipe/],
    [(name: string) => link(name, 'nowhere.json'), /is a symbolic link/],
  ] as const) {
    harm(path)
    const { code, stdout, stderr } = await runProgram('-s', '-c', first.configPath)
    expect(code).toBe(1)
    expect(stdout + stderr).toMatch(reason)
  }
})

test('a folder of an image may be a link to another disk; to delete the image is to remove the link', async () => {
  const first = await startServer()
  const content = bytes(1000)
  const image = await publish(first, content)
  await first.stop()
  const elsewhere = join(first.folder, 'other-disk')
  cpSync(join(first.datadir, image.uuid), elsewhere, { recursive: true })
  link(join(first.datadir, image.uuid), elsewhere)
  const server = await startServer({ folder: first.folder })
  const file = await fetch(`${server.url}/images/${image.uuid}/file`)
  expect(Buffer.from(await file.arrayBuffer())).toEqual(content)
  const update = await call(server, 'POST', `/images/${image.uuid}?action=update`, {
    body: { description: 'x' },
  })
  expect(update.status).toBe(200)
  expect((await call(server, 'DELETE', `/images/${image.uuid}`)).status).toBe(204)
  expect(existsSync(join(server.datadir, image.uuid))).toBe(false)
  expect(namesIn(elsewhere)).toHaveLength(2)
})

test('a `.tmp` that is a link is refused at the start, and what it leads to is left alone', async () => {
  const first = await startServer()
  await first.stop()
  const mine = join(first.folder, 'mine')
  mkdirSync(mine)
  writeFileSync(join(mine, 'thesis.txt'), 'years of work')
  link(join(first.datadir, '.tmp'), mine)
  const { code, stdout, stderr } = await runProgram('-s', '-c', first.configPath)
  expect(code).toBe(1)
  expect(stdout + stderr).toMatch(/\.tmp is a symbolic link: remove it/)
  expect(namesIn(mine)).toEqual(['thesis.txt'])
})

test('an image does not grow past what can be read again at the next start', async () => {
  const first = await startServer()
  const { uuid: id } = await publish(first)
  const accounts = () =>
    Array.from({ length: 25_000 }, (_, index) => `${uuid().slice(0, 24)}${String(index).padStart(12, '0')}`)
  const statuses: number[] = []
  for (let round = 0; round < 5; round++) {
    statuses.push((await call(first, 'POST', `/images/${id}/acl`, { body: accounts() })).status)
  }
  expect(statuses.at(0)).toBe(200)
  expect(statuses.at(-1)).toBe(422)
  const before = (await call(first, 'GET', `/images/${id}`)).body
  await first.stop()
  const server = await startServer({ folder: first.folder })
  expect((await call(server, 'GET', `/images/${id}`)).body).toEqual(before)
})
