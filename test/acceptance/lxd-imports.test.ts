import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test as plain } from 'vitest'
import { call } from '../support/api.ts'
import { selfSigned } from '../support/certificate.ts'
import { json, send } from '../support/http.ts'
import { expectFiles, fetchFiles, importLxd, uuidOf } from '../support/lxd-imports.ts'
import {
  beginImport,
  expectError,
  expectForbidden,
  filesLeft,
  importStreamed,
  listAll,
  statusOf,
} from '../support/messages.ts'
import { andOldClients } from '../support/old-clients.ts'
import { needsAll, type Test } from '../support/programs.ts'
import { run } from '../support/run.ts'
import { sdcClient } from '../support/sdc-client.ts'
import { startServer, type TestServer, temporaryFolder } from '../support/server.ts'
import {
  fingerprintOf,
  type LxdFile,
  type LxdFiles,
  makeLxdFiles,
  SimpleStreamsTree,
} from '../support/simplestreams.ts'
import { sendContent, sendPart, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

/** `POST /images?action=import-lxd-image` (contract, section 11), from a real simplestreams tree. */

const PROGRAMS = { mksquashfs: 'squashfs-tools', xz: 'xz-utils', tar: 'tar' }
let FILES: LxdFiles
let OLD: LxdFiles
let making: Promise<void> | undefined
const make = async () => {
  ;[FILES, OLD] = await Promise.all([makeLxdFiles(TEXT), makeLxdFiles('older')])
}

const prepared =
  (runs: Test): Test =>
  (name, body, timeout) =>
    runs(
      name,
      async () => {
        making ??= make()
        await making
        await body()
      },
      timeout,
    )
const test = prepared(needsAll(PROGRAMS))

/** Long enough for several reports of progress. */
const TEXT = Array.from({ length: 200_000 }, (_, index) => ((index * 2654435761) >>> 0).toString(36)).join(
  ' ',
)
const [OLDER, NEWER] = ['20260101_13:00', '20260102_13:00']
const RETRY = { retries: 2, firstDelay: 10, longestDelay: 20 }

const idOf = (...files: LxdFile[]) => uuidOf(fingerprintOf(...files))

const split = () => idOf(FILES.metadata, FILES.squashfs)

const alpine = () =>
  new SimpleStreamsTree().add({
    aliases: 'alpine/3.20,alpine/3.20/default',
    versions: { [NEWER]: [FILES.metadata, FILES.rootTar, FILES.squashfs] },
  })

async function serve(tree: SimpleStreamsTree, config: Record<string, unknown> = {}) {
  const url = await tree.serve()
  return startServer({ config: { imports: RETRY, lxdRegistries: { images: url }, ...config } })
}

/** Several image servers, named s0, s1 and so on. */
async function serveAll(trees: readonly SimpleStreamsTree[]) {
  const urls = await Promise.all(trees.map(async (tree, index) => [`s${index}`, await tree.serve()]))
  return startServer({ config: { imports: RETRY, lxdRegistries: Object.fromEntries(urls) } })
}

/** The files of an image that was made of these. */
const expectLxdFiles = (server: TestServer, ...files: LxdFile[]) =>
  expectFiles(
    server,
    fingerprintOf(...files),
    files.map(({ content }) => content),
  )

test('an image comes as two files, metadata and root file system, and the progress tells what happens', async () => {
  const server = await serve(alpine())
  const { reply, messages } = await importLxd(server, 'images:alpine/3.20')
  expect([reply.status, reply.headers['content-type']]).toEqual([200, 'application/json'])
  for (const message of messages) expect(message.alias).toBe('images:alpine/3.20')
  const statuses = messages.map(statusOf).map(text => text.replace('progress images:alpine/3.20 ', ''))
  expect(statuses.filter((text, index) => text !== statuses[index - 1])).toEqual([
    expect.stringMatching(/^status alpine\/3\.20: Pulling from images \(req [0-9a-f-]{36}\)$/),
    ...['Downloading image', 'Downloading', 'Downloading image', 'Downloading'],
    ...['Download complete', 'Activating image', 'Pull complete'],
  ])
  const size = FILES.squashfs.content.length
  const reports = messages.flatMap(({ payload }) => payload?.progressDetail ?? [])
  expect(reports.at(-1)).toEqual({ current: size, total: size, start: expect.any(Number) })
  // At least one for each file: how many more depends on how the bytes arrive.
  expect(reports.length).toBeGreaterThanOrEqual(2)
  expect(messages.at(-1)!.image_uuid).toBe(split())
  const { body } = await call(server, 'GET', `/images/${split()}`)
  expect(body).toMatchObject({
    v: 2,
    name: 'alpine_3.20_amd64',
    version: '20260102_13_00',
    state: 'active',
    public: false,
    published_at: '2026-01-02T00:00:00.000Z',
    type: 'lxd',
    os: 'linux',
    description: 'alpine:3.20:amd64',
    requirements: { brand: 'lx' },
    files: [
      { size: FILES.metadata.content.length, compression: 'xz' },
      { size, compression: 'none' },
    ],
  })
  expect(body.tags).toEqual({
    'lxd:arch': 'amd64',
    'lxd:aliases': 'alpine/3.20,alpine/3.20/default',
    'lxd:fingerprint': fingerprintOf(FILES.metadata, FILES.squashfs),
    'lxd:ftype': 'squashfs',
    'lxd:name': 'alpine:3.20:amd64',
    'lxd:os': 'Alpine',
    'lxd:path': `images/alpine/3.20/amd64/${NEWER}/lxd.tar.xz`,
    'lxd:release': '3.20',
    'lxd:release_title': '3.20',
    'lxd:repo': 'images',
    'lxd:sha256': fingerprintOf(FILES.metadata),
  })
  await expectLxdFiles(server, FILES.metadata, FILES.squashfs)
  expect(filesLeft(server)).toEqual([])
})

test('a file is reported while it arrives', async () => {
  const tree = alpine()
  const { content } = FILES.squashfs
  const half = Math.floor(content.length / 2)
  let sendRest = () => {}
  tree.intercept = onFile('.squashfs', (_, __, response) => {
    response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, half))
    sendRest = () => response.end(content.subarray(half))
  })
  const { messages } = beginImport(await serve(tree), 'action=import-lxd-image&alias=images:alpine/3.20')
  const reports = () => messages().flatMap(({ payload }) => payload?.progressDetail ?? [])
  const isPart = ({ current, total }: { current: number; total: number }) => current > 0 && current < total
  await until('a part of it is reported', () => reports().some(isPart))
  sendRest()
  await until('the image is there', () => statusOf(messages().at(-1)!).endsWith('Pull complete'))
  expect(reports().at(-1)).toMatchObject({ current: content.length, total: content.length })
})

andOldClients(test)('the client library of the datacenters gets both files, by their index', async () => {
  const server = await serve(alpine())
  await importLxd(server, 'images:alpine/3.20/default')
  const client = sdcClient(server)
  const folder = temporaryFolder()
  expect(await client.getImage(split())).toMatchObject({ state: 'active', files: [{}, {}] })
  for (const [index, { content }] of [FILES.metadata, FILES.squashfs].entries()) {
    await client.getImageFile(split(), join(folder, `${index}`), undefined, { index })
    expect(readFileSync(join(folder, `${index}`)).equals(content)).toBe(true)
  }
})

prepared(needsAll({ ...PROGRAMS, lxc: 'lxd-client', openssl: 'openssl' }))(
  'of a server with several architectures, versions and formats it is the image that LXD itself takes',
  async () => {
    const { cert, key } = selfSigned()
    const tree = new SimpleStreamsTree()
    const all = [FILES.metadata, FILES.rootTar, FILES.squashfs]
    const old = [FILES.metadata, OLD.squashfs]
    tree.add({
      aliases: 'alpine/3.20,edge',
      arch: 'arm64',
      versions: { [NEWER]: [OLD.metadata, OLD.squashfs] },
    })
    tree.add({
      aliases: 'alpine/3.20,edge',
      versions: { [OLDER]: old, [NEWER]: all, '20260103_13:00': [OLD.metadata] },
    })
    tree.add({ aliases: 'tar', versions: { [NEWER]: [OLD.metadata, OLD.rootTar] } })
    tree.add({ aliases: 'unified', versions: { [NEWER]: [FILES.combined] } })
    const url = await tree.serve({ cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') })
    const server = await startServer({
      config: { lxdRegistries: { images: url }, sources: [{ url, ca: cert }] },
    })
    const env = { LXD_CONF: temporaryFolder(), HOME: temporaryFolder(), SSL_CERT_FILE: cert }
    const lxc = async (...args: string[]) => {
      const { code, stdout, stderr } = await run('lxc', args, { env })
      expect(code, stderr).toBe(0)
      return stdout
    }
    await lxc('remote', 'add', 'here', url, '--protocol', 'simplestreams')
    for (const alias of ['alpine/3.20', 'edge', 'edge/arm64', 'tar', 'unified', 'unified/amd64']) {
      const [, fingerprint] = /^Fingerprint: (\w{64})$/m.exec(await lxc('image', 'info', `here:${alias}`))!
      const { messages } = await importLxd(server, `images:${alias}`)
      const uuid = messages.at(-1)!.image_uuid
      const { body } = await call(server, 'GET', `/images/${uuid}`)
      expect([alias, body.tags['lxd:fingerprint']]).toEqual([alias, fingerprint])
      const folder = temporaryFolder()
      await lxc('image', 'export', `here:${alias}`, folder)
      const exported = readdirSync(folder).map(name => readFileSync(join(folder, name)))
      const ours = await fetchFiles(server, uuid, body.files.length)
      expect(exported).toHaveLength(alias.startsWith('unified') ? 1 : 2)
      expect(
        ours.every(file => exported.some(other => other.equals(file))),
        alias,
      ).toBe(true)
    }
  },
)

test('a combined image is one file', async () => {
  const tree = new SimpleStreamsTree()
  tree.add({
    aliases: 'box',
    versions: { serial: [FILES.combined] },
    fullname: 'a box',
    fields: { pubname: 'Box (1)' },
  })
  const server = await serve(tree)
  const { messages } = await importLxd(server, 'images:box')
  expect(messages.map(statusOf).at(-1)).toBe('progress images:box Pull complete')
  const { body } = await call(server, 'GET', `/images/${idOf(FILES.combined)}`)
  expect(body).toMatchObject({ name: 'Box _1_', version: 'serial', files: [{ compression: 'gzip' }] })
  expect(body.files).toHaveLength(1)
  expect(Date.now() - Date.parse(body.published_at)).toBeLessThan(600_000)
})

test('images of a server for Incus come in the same way', async () => {
  const named = (file: LxdFile, name: string) => ({ ...file, name, ftype: name })
  const metadata = named(FILES.metadata, 'incus.tar.xz')
  const combined = named(FILES.combined, 'incus_combined.tar.gz')
  const tree = new SimpleStreamsTree()
  tree.add({ aliases: 'split', versions: { [NEWER]: [metadata, FILES.rootTar, FILES.squashfs] } })
  tree.add({ aliases: 'unified', versions: { [NEWER]: [combined] } })
  const server = await serve(tree)
  for (const [alias, files] of [
    ['split', [metadata, FILES.squashfs]],
    ['unified', [combined]],
  ] as const) {
    const { messages } = await importLxd(server, `images:${alias}`)
    expect(messages.at(-1)).toMatchObject({
      payload: { status: 'Pull complete' },
      image_uuid: idOf(...files),
    })
    const { body } = await call(server, 'GET', `/images/${idOf(...files)}`)
    expect(body.tags).toMatchObject({
      'lxd:ftype': files.at(-1)!.ftype,
      'lxd:fingerprint': fingerprintOf(...files),
    })
    await expectLxdFiles(server, ...files)
  }
})

test('an image that the mode of the server forbids is refused before anything of it is fetched', async () => {
  const tree = alpine()
  const url = await tree.serve()
  for (const [mode, isPublic] of [
    ['public', false],
    ['private', true],
  ] as const) {
    const server = await startServer({ config: { mode, lxdRegistries: { images: url } } })
    const before = tree.requests.length
    const { messages } = await importLxd(server, 'images:alpine/3.20', `&public=${isPublic}`)
    expectForbidden(messages)
    expect(tree.requests.slice(before)).toHaveLength(2)
    const allowed = await importLxd(server, 'images:alpine/3.20', `&public=${!isPublic}`)
    expect(allowed.messages.at(-1)!.payload.status).toBe('Pull complete')
    // What is here is here, whatever is asked for.
    const again = await importLxd(server, 'images:alpine/3.20', `&public=${isPublic}`)
    expect(again.messages.at(-1)!.payload.status).toBe('Already exists')
  }
})

test('what is here already is not fetched again; two who want it at once both get it', async () => {
  const tree = alpine()
  const server = await serve(tree)
  const both = await Promise.all([1, 2].map(() => importLxd(server, 'images:alpine/3.20')))
  for (const { messages } of both) expect(messages.at(-1)!.payload.status).toBe('Pull complete')
  expect(await listAll(server)).toHaveLength(1)
  const before = tree.requests.length
  const { messages } = await importLxd(server, 'images:alpine/3.20')
  expect(messages.at(-1)).toMatchObject({ payload: { status: 'Already exists' }, image_uuid: split() })
  expect(tree.requests.slice(before).map(({ path }) => path)).toEqual([
    '/lxd/streams/v1/index.json',
    '/lxd/streams/v1/images.json',
  ])
  expect(filesLeft(server)).toEqual([])
})

test('the beginning of the image that a crash left is replaced', async () => {
  const server = await serve(alpine())
  const manifest = {
    v: 2,
    uuid: split(),
    name: 'begun',
    version: '1',
    type: 'lxd',
    os: 'linux',
    public: false,
  }
  expect((await call(server, 'POST', `/images/${split()}?action=import`, { body: manifest })).status).toBe(
    200,
  )
  await importLxd(server, 'images:alpine/3.20')
  const { body } = await call(server, 'GET', `/images/${split()}`)
  expect(body).toMatchObject({ name: 'alpine_3.20_amd64', state: 'active', files: [{}, {}] })
})

test('`public=true` makes it public, and the channel is the one that is named', async () => {
  const channels = [{ name: 'dev', default: true }, { name: 'release' }]
  const server = await serve(alpine(), { channels })
  await importLxd(server, 'images:alpine/3.20', '&public=true&channel=release')
  const { body } = await call(server, 'GET', `/images/${split()}?channel=release`, {
    headers: { 'accept-version': '2' },
  })
  expect(body).toMatchObject({ public: true, channels: ['release'] })
})

test('a file that breaks off is asked for the rest of it', async () => {
  const tree = alpine()
  const { content } = FILES.squashfs
  const cut = Math.floor(content.length / 3)
  tree.intercept = (path, request, response) => {
    if (!path.endsWith('.squashfs')) return false
    sendPart(content, cut, request, response)
    return true
  }
  const server = await serve(tree, { imports: { ...RETRY, retries: 5 } })
  const { messages } = await importLxd(server, 'images:alpine/3.20')
  expect(messages.at(-1)!.payload.status).toBe('Pull complete')
  expect(messages.filter(({ payload }) => payload.status.startsWith('Retrying: ')).length).toBeGreaterThan(1)
  const ranges = tree.requests.flatMap(({ range }) => range ?? [])
  expect(ranges.slice(0, 2)).toEqual([`bytes=${cut}-`, `bytes=${2 * cut}-`])
  await expectLxdFiles(server, FILES.metadata, FILES.squashfs)
})

type Intercept = SimpleStreamsTree['intercept']

const onFile =
  (ending: string, answer: (...args: Parameters<Intercept>) => void): Intercept =>
  (path, request, response) => {
    if (!path.endsWith(ending)) return false
    answer(path, request, response)
    return true
  }

const item = (tree: SimpleStreamsTree, name: string) =>
  tree.products['alpine:3.20:amd64']!.versions[NEWER]!.items[name]!

const BAD: [what: string, change: (tree: SimpleStreamsTree) => void, reason: RegExp][] = [
  [
    'sends other bytes than it lists',
    tree => {
      const changed = Buffer.from(FILES.squashfs.content)
      changed[changed.length - 1]! ^= 1
      tree.intercept = onFile('.squashfs', (_, request, response) => sendContent(changed, request, response))
    },
    /rootfs\.squashfs: the bytes received have the digest sha256:/,
  ],
  [
    'sends less of the metadata',
    tree => {
      const { content } = FILES.metadata
      tree.intercept = onFile('.tar.xz', (_, __, response) => response.end(content.subarray(0, -1)))
    },
    /sent \d+ of \d+ bytes/,
  ],
  [
    'sends more',
    tree => {
      const more = Buffer.concat([FILES.squashfs.content, Buffer.alloc(10)])
      tree.intercept = onFile('.squashfs', (_, request, response) => sendContent(more, request, response))
    },
    /more than its \d+ bytes were sent/,
  ],
  [
    'closes the connection without an answer',
    tree => {
      tree.intercept = onFile('.squashfs', (_, __, response) => response.destroy())
    },
    /rootfs\.squashfs/,
  ],
  [
    'does not have the file',
    tree => {
      tree.intercept = onFile('.squashfs', (_, __, response) => response.writeHead(404).end())
    },
    /HTTP 404/,
  ],
  [
    'gives it the fingerprint of another image',
    tree => {
      item(tree, 'lxd.tar.xz').combined_squashfs_sha256 = fingerprintOf(OLD.metadata, OLD.squashfs)
    },
    /the files have the fingerprint/,
  ],
  [
    // Then the next best root file system is taken, and its size is wrong.
    'lists no digest of one root file system and a wrong size of the other',
    tree => {
      delete item(tree, 'rootfs.squashfs').sha256
      item(tree, 'root.tar.xz').size = FILES.rootTar.content.length - 1
    },
    /more than its \d+ bytes were sent/,
  ],
  [
    'has no version with metadata',
    tree => void delete tree.products['alpine:3.20:amd64']!.versions[NEWER]!.items['lxd.tar.xz'],
    /has no version with a root file system and its metadata/,
  ],
  [
    'has a product without versions',
    tree => {
      tree.products['alpine:3.20:amd64']!.versions = 'none' as never
    },
    /product alpine:3\.20:amd64 is not valid: versions/,
  ],
  [
    'has an index that is no JSON',
    tree => {
      tree.intercept = onFile('index.json', (_, __, response) => response.end('<html>'))
    },
    /index\.json is not a valid answer of simplestreams/,
  ],
  [
    'has lists that are none',
    tree => {
      tree.intercept = onFile('images.json', (_, __, response) => response.end('{"products": []}'))
    },
    /images\.json is not a valid answer of simplestreams/,
  ],
  [
    'has a list without end',
    tree => {
      tree.intercept = onFile('images.json', (_, __, response) => {
        const piece = Buffer.alloc(1024 * 1024, 0x20)
        const more = () => {
          while (!response.destroyed && response.write(piece));
        }
        response.on('drain', more)
        more()
      })
    },
    /images\.json answers with more than \d+ bytes/,
  ],
]

test('of a server that is wrong or lies nothing stays, and the last message says what is wrong', async () => {
  const trees = BAD.map(([, change]) => {
    const tree = alpine()
    change(tree)
    return tree
  })
  const server = await serveAll(trees)
  for (const [index, [what, , reason]] of BAD.entries()) {
    const { messages } = await importLxd(server, `s${index}:alpine/3.20`)
    expect(messages.at(-1), what).toMatchObject({
      type: 'error',
      error: { message: expect.stringMatching(reason) },
    })
    expect(await listAll(server), what).toEqual([])
    await until(`the pieces are gone: ${what}`, () => filesLeft(server).length === 0)
  }
})

test('a file that is larger than the server takes is refused before it is fetched', async () => {
  const tree = alpine()
  const server = await serve(tree, { maxImageSize: FILES.squashfs.content.length - 1 })
  const { messages } = await importLxd(server, 'images:alpine/3.20')
  expectError(messages, /rootfs\.squashfs: image file size \d+ exceeds the maximum allowed size/, 'Download')
  expect(tree.requests.map(({ path }) => path.slice(path.lastIndexOf('/') + 1))).toEqual([
    'index.json',
    'images.json',
  ])
})

test('when the client leaves, the import ends, and nothing of it stays', async () => {
  const tree = alpine()
  let isOver = false
  const asked = new Promise<void>(resolve => {
    tree.intercept = onFile('.squashfs', (_, __, response) => {
      response.writeHead(200, { 'content-length': FILES.squashfs.content.length })
      response.on('close', () => {
        isOver = true
      })
      response.write(FILES.squashfs.content.subarray(0, 100), () => resolve())
    })
  })
  const server = await serve(tree)
  const { leave } = beginImport(server, 'action=import-lxd-image&alias=images:alpine/3.20')
  await asked
  leave()
  await until('the connection to the image server is closed', () => isOver)
  await until('the pieces are gone', () => filesLeft(server).length === 0)
  expect(await listAll(server)).toEqual([])
})

test('the operator may name a server on a private address; its lists and redirects lead to no other', async () => {
  const elsewhere = await startSource((request, response) =>
    sendContent(FILES.squashfs.content, request, response),
  )
  const cases: ((tree: SimpleStreamsTree) => void)[] = [
    tree => {
      item(tree, 'rootfs.squashfs').path = `${elsewhere.url}/rootfs.squashfs`
    },
    tree => {
      tree.intercept = onFile('.squashfs', (_, __, response) => {
        response.writeHead(302, { location: `${elsewhere.url}/rootfs.squashfs` }).end()
      })
    },
    tree => {
      tree.index = {}
      tree.intercept = onFile('index.json', (_, __, response) => {
        const index = { images: { datatype: 'image-downloads', path: `${elsewhere.url}/images.json` } }
        response.end(JSON.stringify({ index }))
      })
    },
  ]
  const trees = cases.map(change => {
    const tree = alpine()
    change(tree)
    return tree
  })
  const guarded = await serveAll(trees)
  for (const index of trees.keys()) {
    const { messages } = await importLxd(guarded, `s${index}:alpine/3.20`)
    expectError(messages, /is not a public address/)
  }
  expect(elsewhere.requests).toEqual([])
  const server = await serve(trees[0]!, { allowPrivateSources: true })
  expect((await importLxd(server, 'images:alpine/3.20')).messages.at(-1)!.payload.status).toBe(
    'Pull complete',
  )
})

test('registries and images that are not there are errors in the stream', async () => {
  const tree = alpine()
  tree.add({ aliases: 'arm', arch: 'arm64', versions: { [NEWER]: [FILES.metadata, FILES.squashfs] } })
  const server = await serve(tree)
  const cases: [alias: string, code: string, message: RegExp][] = [
    [
      'other:alpine/3.20',
      'InvalidParameter',
      /^No registry found for "other" - valid registries are "images"$/,
    ],
    ['constructor:alpine', 'InvalidParameter', /^No registry found/],
    ['images:alpine', 'ResourceNotFound', /^image "alpine" was not found at http:/],
    ['images:alpine/3.20,alpine/3.20/default', 'ResourceNotFound', /was not found/],
    ['images:arm', 'RemoteSourceError', /^there is no image arm for amd64; there is arm\/arm64$/],
  ]
  for (const [alias, code, message] of cases) {
    const { reply, messages } = await importLxd(server, alias)
    expect(reply.status).toBe(200)
    expectError(messages, message, code)
  }
})

plain('an image server where nothing listens is given up after a few quick tries', async () => {
  const config = { lxdRegistries: { images: 'http://127.0.0.1:1/' } }
  const server = await startServer({ config })
  const { messages } = await importLxd(server, 'images:alpine/3.20')
  expect(messages.map(({ type }) => type)).toEqual(['status', 'error'])
  expectError(messages, /127\.0\.0\.1/, 'RemoteSourceError')
})

plain('bad parameters are refused before anything is streamed', async () => {
  const server = await startServer()
  const cases: [query: string, status: number, code: string, errors?: unknown][] = [
    ['', 422, 'ValidationFailed', [{ field: 'alias', code: 'MissingParameter' }]],
    ['&alias=', 422, 'ValidationFailed', [{ field: 'alias', code: 'MissingParameter' }]],
    ['&alias=alpine', 422, 'InvalidParameter', [{ field: 'alias', code: 'InvalidParameter' }]],
    ['&alias=images:', 422, 'InvalidParameter', [{ field: 'alias', code: 'InvalidParameter' }]],
    ['&alias=:alpine', 422, 'InvalidParameter', [{ field: 'alias', code: 'InvalidParameter' }]],
    ['&alias=images:a&public=perhaps', 422, 'InvalidParameter'],
    [`&alias=images:a&account=${crypto.randomUUID()}`, 403, 'OperatorOnly'],
  ]
  for (const [query, status, code, errors] of cases) {
    const { reply } = await importStreamed(server, `action=import-lxd-image${query}`)
    const body = json(reply)
    expect([query, reply.status, body.code]).toEqual([query, status, code])
    if (errors) expect(body.errors).toMatchObject(errors as object[])
  }
  const anonymous = await send(`${server.url}/images?action=import-lxd-image&alias=images:a`, 'POST')
  expect(anonymous.status).toBe(401)
})
