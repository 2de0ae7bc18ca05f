import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect } from 'vitest'
import { call } from '../support/api.ts'
import { expectFiles, importLxd, uuidOf } from '../support/lxd-imports.ts'
import {
  forward,
  forwardChanged,
  type Intercept,
  type LxdServer,
  startFront,
  startLxdServer,
} from '../support/lxd-server.ts'
import {
  beginImport,
  expectError,
  expectForbidden,
  filesLeft,
  listAll,
  type Message,
  statusOf,
} from '../support/messages.ts'
import { needsAll, requires, type Test } from '../support/programs.ts'
import { startServer, type TestServer, temporaryFolder } from '../support/server.ts'
import {
  fingerprintOf,
  type LxdFile,
  type LxdFiles,
  makeLxdFiles,
  SimpleStreamsTree,
} from '../support/simplestreams.ts'
import { startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

/**
 * `POST /images?action=import-lxd-image` from a server of LXD: the real one, and for its faults a front that passes on
 * what it answers. Incus has the same API.
 */

const PROGRAMS = {
  lxd: 'lxd',
  lxc: 'lxd-client',
  mksquashfs: 'squashfs-tools',
  xz: 'xz-utils',
  tar: 'tar',
}
const runs = process.getuid?.() === 0 ? needsAll(PROGRAMS) : requires(false, 'the server of LXD needs root')

/** Long enough for several reports of progress. */
const TEXT = Array.from({ length: 200_000 }, (_, index) => ((index * 2654435761) >>> 0).toString(36)).join(
  ' ',
)
const RETRY = { retries: 3, firstDelay: 10, longestDelay: 20 }
const PROPERTIES = {
  name: 'alpine-3.20',
  description: 'Alpine 3.20 amd64 (20260102_13:00)',
  os: 'Alpine',
  release: '3.20',
  serial: '20260102_13:00',
}

let FILES: LxdFiles
let DISK: LxdFile
let LXD: LxdServer
let starting: Promise<void> | undefined

async function start() {
  ;[LXD, FILES] = await Promise.all([startLxdServer(), makeLxdFiles(TEXT, { properties: PROPERTIES })])
  const other = await makeLxdFiles('of a virtual machine')
  DISK = { name: 'disk.qcow2', ftype: 'disk-kvm.img', content: Buffer.concat([QCOW2, Buffer.alloc(5000, 7)]) }
  await LXD.add([FILES.metadata, FILES.squashfs], { alias: 'alpine/3.20' })
  await LXD.add([FILES.metadata, FILES.rootTar], { alias: 'tar' })
  await LXD.add([FILES.combined], { alias: 'unified' })
  await LXD.add([other.metadata, DISK], { alias: 'machine' })
  await LXD.add([other.metadata, other.squashfs], { alias: 'hidden', isPublic: false })
  HIDDEN = [other.metadata, other.squashfs]
}
let HIDDEN: LxdFile[]
/** How an image of a disk of that format begins. */
const QCOW2 = Buffer.from([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3])

afterAll(async () => {
  await starting?.catch(() => {})
  await LXD?.stop()
})

const test: Test = (name, body, timeout) =>
  runs(
    name,
    async () => {
      starting ??= start()
      await starting
      await body()
    },
    timeout,
  )

const serveReal = (config: Record<string, unknown> = {}) =>
  startServer({
    config: {
      imports: RETRY,
      lxdRegistries: { lxd: { url: LXD.url, protocol: 'lxd' } },
      sources: [{ url: LXD.url, ca: LXD.ca }],
      ...config,
    },
  })

/** Fronts that are registries named s0, s1 and so on. */
async function serveFronts(intercepts: readonly Intercept[], config: Record<string, unknown> = {}) {
  const fronts = await Promise.all(intercepts.map(intercept => startFront(LXD, intercept)))
  const registries = fronts.map(({ url }, index) => [`s${index}`, { url, protocol: 'lxd' }])
  const lxdRegistries = Object.fromEntries(registries)
  return { fronts, server: await startServer({ config: { imports: RETRY, lxdRegistries, ...config } }) }
}

/** An image of the real server, or of the front that is registry s0, s1 and so on. */
const importFromLxd = (server: TestServer, image: string, more = '', registry = 'lxd') =>
  importLxd(server, `${registry}:${image}`, more)

const last = (messages: Message[]) => messages.at(-1)?.payload?.status ?? messages.at(-1)

test('an image of a server of LXD comes with what the server says of it, and the progress tells what happens', async () => {
  const server = await serveReal()
  const { reply, messages } = await importFromLxd(server, 'alpine/3.20')
  expect(reply.status).toBe(200)
  const statuses = messages.map(statusOf).map(text => text.replace('progress lxd:alpine/3.20 ', ''))
  expect(statuses.filter((text, index) => text !== statuses[index - 1])).toEqual([
    expect.stringMatching(/^status alpine\/3\.20: Pulling from lxd \(req [0-9a-f-]{36}\)$/),
    ...['Downloading image', 'Downloading', 'Downloading image', 'Downloading'],
    ...['Download complete', 'Activating image', 'Pull complete'],
  ])
  const [metadata, root] = [FILES.metadata, FILES.squashfs].map(({ content }) => content.length)
  const reports = messages.flatMap(({ payload }) => payload?.progressDetail ?? [])
  expect(reports[0]).toEqual({ current: metadata, total: metadata, start: expect.any(Number) })
  expect(reports.at(-1)).toEqual({ current: root, total: root, start: expect.any(Number) })
  // How many there are depends on how much arrives at once.
  const ofRoot = reports.slice(1).map(({ current }) => current)
  expect(ofRoot).toEqual(ofRoot.toSorted((a, b) => a - b))
  const fingerprint = alpine()
  expect(messages.at(-1)!.image_uuid).toBe(uuidOf(fingerprint))
  const { body } = await call(server, 'GET', `/images/${uuidOf(fingerprint)}`)
  expect(body).toMatchObject({
    name: 'alpine-3.20',
    version: '20260102_13_00',
    description: PROPERTIES.description,
    state: 'active',
    public: false,
    published_at: '2026-01-02T00:00:00.000Z',
    type: 'lxd',
    os: 'linux',
    requirements: { brand: 'lx' },
    files: [
      { size: metadata, compression: 'xz' },
      { size: root, compression: 'none' },
    ],
  })
  expect(body.tags).toEqual({
    'lxd:arch': 'amd64',
    'lxd:aliases': 'alpine/3.20',
    'lxd:fingerprint': fingerprint,
    'lxd:ftype': 'squashfs',
    'lxd:name': 'alpine-3.20',
    'lxd:os': 'Alpine',
    'lxd:path': `1.0/images/${fingerprint}/export: metadata`,
    'lxd:release': '3.20',
    'lxd:release_title': '3.20',
    'lxd:repo': 'lxd',
    'lxd:sha256': fingerprintOf(FILES.metadata),
  })
  await expectFiles(server, fingerprint, [FILES.metadata.content, FILES.squashfs.content])
  expect(filesLeft(server)).toEqual([])
})

test('images of all forms are those that the client of LXD takes, byte for byte', async () => {
  const server = await serveReal()
  const forms: [alias: string, ftype: string, files: LxdFile[]][] = [
    ['alpine/3.20', 'squashfs', [FILES.metadata, FILES.squashfs]],
    ['tar', 'root.tar.xz', [FILES.metadata, FILES.rootTar]],
    ['unified', 'lxd_combined.tar.gz', [FILES.combined]],
    ['machine', 'disk-kvm.img', [HIDDEN[0]!, DISK]],
  ]
  await LXD.lxc('remote', 'add', 'here', LXD.url, '--protocol', 'lxd', '--public', '--accept-certificate')
  for (const [alias, ftype, files] of forms) {
    const [, fingerprint] = /^Fingerprint: (\w{64})$/m.exec(await LXD.lxc('image', 'info', `here:${alias}`))!
    expect(fingerprint).toBe(fingerprintOf(...files))
    const { messages } = await importFromLxd(server, alias)
    expect(last(messages), alias).toBe('Pull complete')
    const { body } = await call(server, 'GET', `/images/${uuidOf(fingerprint!)}`)
    expect(body.files).toHaveLength(files.length)
    expect(body.tags).toMatchObject({ 'lxd:fingerprint': fingerprint, 'lxd:ftype': ftype })
    const folder = temporaryFolder()
    await LXD.lxc('image', 'export', `here:${alias}`, folder)
    const exported = readdirSync(folder).map(name => readFileSync(join(folder, name)))
    expect(exported).toHaveLength(files.length)
    // They have no order there.
    const ours = files.map(({ content }) => exported.find(other => other.equals(content))!)
    await expectFiles(server, fingerprint!, ours)
  }
})

test('the same image of a simplestreams server is the same image here', async () => {
  const tree = new SimpleStreamsTree()
  tree.add({ aliases: 'alpine', versions: { '20260102': [FILES.metadata, FILES.squashfs] } })
  const lxdRegistries = { lxd: { url: LXD.url, protocol: 'lxd' }, streams: { url: await tree.serve() } }
  const server = await serveReal({ lxdRegistries })
  const first = await importLxd(server, 'streams:alpine')
  expect(last(first.messages)).toBe('Pull complete')
  expect(last((await importFromLxd(server, 'alpine/3.20')).messages)).toBe('Already exists')
})

test('a fingerprint names an image too; one that is not public takes a secret, which is shown nowhere', async () => {
  const server = await serveReal()
  const fingerprint = fingerprintOf(...HIDDEN)
  for (const name of ['hidden', fingerprint, 'nothing', fingerprint.slice(0, 11)]) {
    const { messages } = await importFromLxd(server, name)
    expectError(messages, new RegExp(`^image "${name}" was not found at https:`), 'ResourceNotFound')
  }
  const secret = async () =>
    JSON.parse(await LXD.lxc('query', '-X', 'POST', `/1.0/images/${fingerprint}/secret`)).metadata.secret
  const given = await secret()
  const wrong = `${given.slice(0, -4)}zzzz`
  const refused = await importFromLxd(server, fingerprint, `&secret=${wrong}`)
  expectError(refused.messages, /was not found/, 'ResourceNotFound')
  const { messages } = await importFromLxd(server, fingerprint, `&secret=${given}`)
  expect(last(messages)).toBe('Pull complete')
  await expectFiles(
    server,
    fingerprint,
    HIDDEN.map(({ content }) => content),
  )
  expect(last((await importFromLxd(server, alpine().slice(0, 12))).messages)).toBe('Pull complete')
  await server.stop()
  for (const text of [JSON.stringify([messages, refused.messages]), JSON.stringify(server.log())]) {
    for (const one of [given, wrong]) expect(text).not.toContain(one)
  }
})

test('an alias is for the architecture of the hosts; another one has to be named', async () => {
  const arm = await makeLxdFiles('arm', { architecture: 'aarch64' })
  await LXD.add([arm.metadata, arm.squashfs], { alias: 'edge' })
  const server = await serveReal()
  expectError((await importFromLxd(server, 'edge')).messages, /edge is for aarch64: ask for edge\/aarch64$/)
  expectError((await importFromLxd(server, 'edge/amd64')).messages, /not found/, 'ResourceNotFound')
  for (const [alias, status] of [
    ['edge/arm64', 'Pull complete'],
    ['edge/aarch64', 'Already exists'],
    ['tar/amd64', 'Pull complete'],
  ] as const) {
    expect([alias, last((await importFromLxd(server, alias)).messages)]).toEqual([alias, status])
  }
})

const isExport = (url = '') => url.includes('/export')

/** Sends so many bytes of each answer that has a file, and then the connection is gone. */
const cutting =
  (size: number): Intercept =>
  (request, response) => {
    if (!isExport(request.url)) return false
    let sent = 0
    forward(LXD.url, request, response, chunk => {
      if (sent >= size) return undefined
      const piece = chunk.subarray(0, size - sent)
      sent += chunk.length
      return piece
    })
    return true
  }

test('an answer that breaks off goes on where it was: a file asks for the rest, a form is read again', async () => {
  const cut = Math.floor(FILES.combined.content.length / 3) + 1
  const whole = FILES.metadata.content.length + FILES.squashfs.content.length
  const cuts = [100, 500, Math.floor(whole / 2), whole - 100, whole + 5000]
  const form: Intercept = (request, response) =>
    isExport(request.url) && cutting(cuts.shift()!)(request, response)
  const { server, fronts } = await serveFronts([cutting(cut), form], { imports: { ...RETRY, retries: 6 } })
  expect(last((await importFromLxd(server, 'unified', '', 's0')).messages)).toBe('Pull complete')
  const ranges = fronts[0]!.requests.flatMap(({ path, range }) => (isExport(path) ? [range] : []))
  expect(ranges.slice(0, 3)).toEqual([undefined, `bytes=${cut}-`, `bytes=${2 * cut}-`])
  await expectFiles(server, fingerprintOf(FILES.combined), [FILES.combined.content])

  const { messages } = await importFromLxd(server, 'alpine/3.20', '', 's1')
  expect(last(messages)).toBe('Pull complete')
  expect(cuts).toEqual([])
  const retries = messages.filter(({ payload }) => payload.status.startsWith('Retrying: '))
  expect(retries).toHaveLength(4)
  // Each one because the answer broke off, and none because the part before it was complete.
  for (const { payload } of retries) expect(payload.status).not.toMatch(/abort/i)
  await expectFiles(server, alpine(), [FILES.metadata.content, FILES.squashfs.content])
})

/** Answers as the server does, with other text in it. */
const rewriting =
  (place: string, change: (json: string) => string): Intercept =>
  (request, response) => {
    if (!request.url!.includes(place) || isExport(request.url)) return false
    forwardChanged(LXD.url, request, response, change)
    return true
  }

const alpine = () => fingerprintOf(FILES.metadata, FILES.squashfs)

/** Shows the image with another fingerprint, everywhere. */
const renaming: Intercept = (request, response) => {
  request.url = request.url!.replace(ZEROS, alpine())
  if (isExport(request.url)) return false
  forwardChanged(LXD.url, request, response, text => text.replaceAll(alpine(), ZEROS))
  return true
}

const sending =
  (type: string, body: string | Buffer): Intercept =>
  (request, response) => {
    if (!isExport(request.url)) return false
    response.writeHead(200, { 'content-type': type })
    response.end(body)
    return true
  }

const part = (name: string, text: string) =>
  `--b\r\nContent-Disposition: form-data; name="${name}"; filename="x.tar"\r\n\r\n${text}\r\n`
const FORM = 'multipart/form-data; boundary=b'
const ZEROS = '0'.repeat(64)

const BAD: [what: string, intercept: () => Intercept, reason: RegExp][] = [
  [
    'sends other bytes',
    () => (request, response) => {
      if (!isExport(request.url)) return false
      let sent = 0
      forward(LXD.url, request, response, chunk => {
        const at = 100_000 - sent
        sent += chunk.length
        if (at >= 0 && at < chunk.length) chunk[at]! ^= 1
        return chunk
      })
      return true
    },
    /the files have the fingerprint/,
  ],
  ['lists it with the fingerprint of another image', () => renaming, /the files have the fingerprint/],
  [
    'leads the alias to one image and shows another',
    () =>
      rewriting(`/1.0/images/${alpine()}`, text =>
        text.replace(/"fingerprint":"\w+"/, `"fingerprint":"${ZEROS}"`),
      ),
    /answers with another image than/,
  ],
  [
    'has a size that is too small',
    () => rewriting('/1.0/images/', text => text.replace(/"size":\d+/, '"size":1000')),
    /more than its \d+ bytes were sent/,
  ],
  [
    'has a size that is too large',
    () => rewriting('/1.0/images/', text => text.replace(/"size":(\d+)/, '"size":9$1')),
    /sent \d+ of \d+ bytes/,
  ],
  [
    'has no size',
    () => rewriting('/1.0/images/', text => text.replace(/"size":\d+,/, '')),
    /is not a valid answer of LXD/,
  ],
  [
    'answers with HTML',
    () => (_, response) => {
      response.end('<html>')
      return true
    },
    /aliases\/alpine%2F3\.20 is not a valid answer of LXD/,
  ],
  [
    'has no file',
    () => (request, response) => {
      if (!isExport(request.url)) return false
      response.writeHead(404).end()
      return true
    },
    /HTTP 404/,
  ],
  [
    'sends nothing of it',
    () => (request, response) => {
      if (!isExport(request.url)) return false
      response.destroy()
      return true
    },
    /export/,
  ],
  [
    'sends one file of another content',
    () => {
      const size = FILES.metadata.content.length + FILES.squashfs.content.length
      return sending('application/octet-stream', Buffer.alloc(size))
    },
    /the files have the fingerprint/,
  ],
  ['sends a form without a boundary', () => sending('multipart/form-data', 'x'), /Boundary not found/],
  ['sends a form that has no parts', () => sending(FORM, '--b--\r\n'), /no part "metadata"|Unexpected end/],
  ['sends a form that is none', () => sending(FORM, 'text'.repeat(10_000)), /Unexpected end|no part/],
  [
    'sends the parts in another order',
    () => sending(FORM, `${part('rootfs', 'x')}${part('metadata', 'x')}--b--\r\n`),
    /no part "metadata"/,
  ],
  ['sends only the metadata', () => sending(FORM, `${part('metadata', 'x')}--b--\r\n`), /no part "rootfs"/],
  [
    'sends parts of other content',
    () => sending(FORM, `${part('metadata', 'x')}${part('rootfs', 'x')}--b--\r\n`),
    /sent 1 of \d+ bytes/,
  ],
  [
    'ends within a part',
    () => sending(FORM, `${part('metadata', 'x')}${part('rootfs', 'x')}`),
    /Part terminated early|Unexpected end/,
  ],
  [
    'sends headers without end',
    () => sending(FORM, `--b\r\n${'X: y\r\n'.repeat(200_000)}`),
    /Unexpected end|no part/,
  ],
]

test('of a server that is wrong or lies nothing stays, and the last message says what is wrong', async () => {
  const { server } = await serveFronts(BAD.map(([, intercept]) => intercept()))
  for (const [index, [what, , reason]] of BAD.entries()) {
    const { messages } = await importFromLxd(server, 'alpine/3.20', '', `s${index}`)
    expect(messages.at(-1), what).toMatchObject({
      type: 'error',
      error: { message: expect.stringMatching(reason) },
    })
    expect(await listAll(server), what).toEqual([])
    await until(`the pieces are gone: ${what}`, () => filesLeft(server).length === 0)
  }
})

const PIECE = Buffer.alloc(1024 * 1024, 'y')

/** Sends a form that begins so and has as many mebibytes in its last part. */
const sendingMuch =
  (head: string, pieces: number, end = ''): Intercept =>
  (request, response) => {
    if (!isExport(request.url)) return false
    response.writeHead(200, { 'content-type': FORM })
    response.write(head)
    let sent = 0
    const more = () => {
      while (!response.destroyed && sent < pieces) {
        sent++
        if (!response.write(PIECE)) return
      }
      response.end(end)
    }
    response.on('drain', more)
    more()
    return true
  }

const open = (name: string) => part(name, 'x').slice(0, -2)

test('a form without end is ended', async () => {
  const heads = [open('metadata'), `${part('metadata', 'x')}${open('rootfs')}`]
  const { server } = await serveFronts(heads.map(head => sendingMuch(head, Number.POSITIVE_INFINITY)))
  for (const index of heads.keys()) {
    const { messages } = await importFromLxd(server, 'alpine/3.20', '', `s${index}`)
    expectError(messages, /more than its \d+ bytes were sent/, 'Download')
    await until('the pieces are gone', () => filesLeft(server).length === 0)
  }
})

test('a form is read piece by piece: the memory of the server does not grow with the image', async () => {
  const pieces = 256
  const size = `"size":${pieces * PIECE.length + 2}`
  const form = sendingMuch(`${part('metadata', 'x')}${open('rootfs')}`, pieces, '\r\n--b--\r\n')
  const { server } = await serveFronts([
    (request, response) => {
      if (form(request, response)) return true
      forwardChanged(LXD.url, request, response, text => text.replace(/"size":\d+/, size))
      return true
    },
  ])
  const most = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))![1])
  const before = most()
  const { messages } = await importFromLxd(server, 'alpine/3.20', '', 's0')
  expectError(messages, /the files have the fingerprint/, 'Download')
  expect(messages.at(-2)!.payload.progressDetail.current).toBe(pieces * PIECE.length + 1)
  expect((most() - before) / 1024).toBeLessThan(pieces / 2)
})

test('a file that is larger than the server takes is refused before it is read', async () => {
  const server = await serveReal({ maxImageSize: FILES.combined.content.length - 1 })
  const form = (await importFromLxd(server, 'alpine/3.20')).messages
  const file = (await importFromLxd(server, 'unified')).messages
  for (const [messages, reports] of [
    // The metadata is read, and then the size of the rest is known.
    [form, 1],
    [file, 0],
  ] as const) {
    expectError(messages, /image file size \d+ exceeds the maximum allowed size/, 'Download')
    expect(messages.flatMap(({ payload }) => payload?.progressDetail ?? [])).toHaveLength(reports)
  }
  await until('the pieces are gone', () => filesLeft(server).length === 0)
  const enough = await serveReal({ maxImageSize: FILES.squashfs.content.length })
  expect(last((await importFromLxd(enough, 'alpine/3.20')).messages)).toBe('Pull complete')
})

test('an image that the mode of the server forbids is refused before it is asked for', async () => {
  const { server, fronts } = await serveFronts([() => false], { mode: 'public' })
  const { messages } = await importFromLxd(server, 'alpine/3.20', '', 's0')
  expectForbidden(messages)
  expect(fronts[0]!.requests.map(({ path }) => path)).toEqual([
    '/1.0/images/aliases/alpine%2F3.20',
    `/1.0/images/${alpine()}`,
  ])
})

test('when the client leaves, the import ends, and nothing of it stays', async () => {
  let isOver = false
  let begin = () => {}
  const asked = new Promise<void>(resolve => {
    begin = resolve
  })
  const hanging: Intercept = (request, response) => {
    if (!isExport(request.url)) return false
    response.writeHead(200, { 'content-type': FORM })
    response.on('close', () => {
      isOver = true
    })
    response.write(`${part('metadata', 'x')}${open('rootfs')}`, () => begin())
    return true
  }
  const { server } = await serveFronts([hanging])
  const { leave } = beginImport(server, 'action=import-lxd-image&alias=s0:alpine/3.20')
  await asked
  leave()
  await until('the connection to the image server is closed', () => isOver)
  await until('the pieces are gone', () => filesLeft(server).length === 0)
  expect(await listAll(server)).toEqual([])
})

test('the operator may name a server on a private address; its redirects lead to no other', async () => {
  const elsewhere = await startSource((request, response) => forward(LXD.url, request, response))
  const redirecting = ['/aliases/', '/export'].map(
    (place): Intercept =>
      (request, response) => {
        if (!request.url!.includes(place)) return false
        response.writeHead(302, { location: `${elsewhere.url}${request.url}` }).end()
        return true
      },
  )
  const { server } = await serveFronts(redirecting)
  for (const index of redirecting.keys()) {
    const { messages } = await importFromLxd(server, 'alpine/3.20', '', `s${index}`)
    expectError(messages, /is not a public address/)
  }
  expect(elsewhere.requests).toEqual([])
})

test('a certificate that is not known is an error that says so', async () => {
  const server = await serveReal({ sources: [] })
  expectError((await importFromLxd(server, 'alpine/3.20')).messages, /certificate/, 'RemoteSourceError')
})
