import { execFileSync } from 'node:child_process'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { bytes, sha1 } from '../support/api.ts'
import { curl } from '../support/curl.ts'
import { RawConnection } from '../support/raw.ts'
import { startServer, type TestServer, temporaryFolder } from '../support/server.ts'

/** What the README of the predecessor tells people to type, typed with the real curl. */

const LOGIN = ['-u', 'admin:secret']
const AUTHORIZATION = `Authorization: Basic ${Buffer.from('admin:secret').toString('base64')}`

const MANIFEST = `
    {
       "name": "couchbase-server",
       "version": "4.5.0-snapshot",
       "description": "Snapshot of Couchbase Server 4.5.0 Community Edition",
       "type": "zone-dataset",
       "os": "smartos",
       "requirements": {
         "networks": [
           {
             "name": "net0",
             "description": "public"
           }
         ]
       }
    }`

const start = (config: Record<string, unknown> = {}) =>
  startServer({ config: { userdb: [{ name: 'admin', password: 'secret' }], ...config } })

/** A file of random bytes, gzipped as the image in the README is. */
function gzippedFile(size = 300_000) {
  const path = join(temporaryFolder(), 'couchbase-watson-4.5.img.gz')
  const content = gzipSync(bytes(size), { level: 1 })
  writeFileSync(path, content)
  return { path, content, sha1: sha1(content) }
}

/** A large file that takes no room. */
function sparseFile(size: number) {
  const path = join(temporaryFolder(), 'large.zfs')
  writeFileSync(path, '')
  truncateSync(path, size)
  return path
}

async function create({ url }: TestServer): Promise<string> {
  const { stdout } = await curl('-X', 'POST', ...LOGIN, '--data-binary', MANIFEST, `${url}/images`)
  return JSON.parse(stdout).uuid
}

async function publish(server: TestServer, file: { path: string; sha1: string }): Promise<string> {
  const uuid = await create(server)
  const url = `${server.url}/images/${uuid}`
  await curl('--upload-file', file.path, ...LOGIN, `${url}/file?sha1=${file.sha1};compression=gzip`)
  await curl('-X', 'POST', ...LOGIN, `${url}?action=activate`)
  return uuid
}

test('the whole example of the README works with curl as it is typed there', async () => {
  const server = await start()
  const file = gzippedFile()

  const ping = await curl('-i', `${server.url}/ping`)
  expect(ping.stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  expect(ping.stdout).toMatch(/^Content-Type: application\/json\r$/im)
  expect(ping.stdout).toMatch(/^Content-Length: \d+\r$/im)
  const pong = ping.stdout.slice(ping.stdout.indexOf('\r\n\r\n') + 4)
  expect(JSON.parse(pong)).toEqual({ imgapi: true, pid: server.pid, ping: 'pong', version: '1.0.0' })
  expect(pong).toContain('\n  "imgapi": true')

  const created = await curl('-X', 'POST', ...LOGIN, '--data-binary', MANIFEST, `${server.url}/images`)
  const image = JSON.parse(created.stdout)
  expect(image).toEqual({
    ...JSON.parse(MANIFEST),
    v: 2,
    uuid: expect.stringMatching(/^[0-9a-f-]{36}$/),
    owner: '00000000-0000-0000-0000-000000000000',
    state: 'unactivated',
    disabled: false,
    public: false,
    files: [],
  })

  const url = `${server.url}/images/${image.uuid}`
  const files = [{ compression: 'gzip', sha1: file.sha1, size: file.content.length }]
  const uploaded = await curl(
    '--upload-file',
    file.path,
    ...LOGIN,
    `${url}/file?sha1=${file.sha1};compression=gzip`,
  )
  expect(JSON.parse(uploaded.stdout)).toEqual({ ...image, files })

  const activated = await curl('-X', 'POST', ...LOGIN, `${url}?action=activate`)
  const active = { ...image, files, state: 'active', published_at: expect.any(String) }
  expect(JSON.parse(activated.stdout)).toEqual(active)

  // What `imgadm avail`, `imgadm show` and `imgadm import` ask for, none of them with credentials.
  expect(JSON.parse((await curl(`${server.url}/images`)).stdout)).toEqual([active])
  expect(JSON.parse((await curl(url)).stdout)).toEqual(active)
  const copy = join(temporaryFolder(), 'copy.gz')
  expect(await curl('-f', '-o', copy, `${url}/file`)).toMatchObject({ exitCode: 0 })
  execFileSync('cmp', [file.path, copy])
})

test('each call of the README that changes something is refused with a JSON error without credentials', async () => {
  const server = await start()
  const file = gzippedFile(1000)
  const uuid = await create(server)
  const url = `${server.url}/images/${uuid}`
  const refused = JSON.stringify({ code: 'UnauthorizedError', message: 'Unauthorized' }, null, 2)
  for (const credentials of [[], ['-u', 'admin:wrong'], ['-u', 'nobody:secret']]) {
    const calls = [
      ['-X', 'POST', '--data-binary', MANIFEST, `${server.url}/images`],
      ['--upload-file', file.path, `${url}/file?sha1=${file.sha1};compression=gzip`],
      ['-X', 'POST', `${url}?action=activate`],
      ['-X', 'DELETE', url],
    ]
    for (const args of calls) {
      const { stdout } = await curl('-w', '\n%{http_code}', ...credentials, ...args)
      expect(stdout).toBe(`${refused}\n401`)
    }
  }
  expect(JSON.parse((await curl(...LOGIN, url)).stdout)).toMatchObject({ state: 'unactivated', files: [] })
})

test('the sha1 of another file is refused, and the image has no file', async () => {
  const server = await start()
  const file = gzippedFile(1000)
  const url = `${server.url}/images/${await create(server)}`
  const wrong = sha1(bytes(1))
  const { stdout } = await curl(
    '--upload-file',
    file.path,
    ...LOGIN,
    `${url}/file?sha1=${wrong};compression=gzip`,
  )
  expect(JSON.parse(stdout)).toEqual({
    code: 'Upload',
    message: `"sha1" hash, ${wrong}, does not match the uploaded file sha1 hash, ${file.sha1}`,
  })
  expect(JSON.parse((await curl(...LOGIN, url)).stdout).files).toEqual([])
})

test('curl -C - completes a half download without fetching the first half again', async () => {
  const server = await start()
  const file = gzippedFile(3_000_000)
  const uuid = await publish(server, file)
  const partial = join(temporaryFolder(), 'partial.gz')
  const half = Math.floor(file.content.length / 2)
  writeFileSync(partial, file.content.subarray(0, half))
  const { exitCode, stdout } = await curl(
    '-C',
    '-',
    '-o',
    partial,
    '-w',
    '%{http_code} %{size_download}',
    `${server.url}/images/${uuid}/file`,
  )
  expect(exitCode).toBe(0)
  expect(stdout).toBe(`206 ${file.content.length - half}`)
  expect(readFileSync(partial).equals(file.content)).toBe(true)
})

test('curl -C - on a complete file fetches nothing and leaves it as it is', async () => {
  const server = await start()
  const file = gzippedFile(10_000)
  const uuid = await publish(server, file)
  const copy = join(temporaryFolder(), 'copy.gz')
  writeFileSync(copy, file.content)
  const { exitCode, stdout } = await curl(
    '-C',
    '-',
    '-o',
    copy,
    '-w',
    '%{http_code}',
    `${server.url}/images/${uuid}/file`,
  )
  // Nothing is left to ask for, which curl knows how to read.
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '416' })
  expect(readFileSync(copy).equals(file.content)).toBe(true)
})

test('curl -I on a file shows what a download would, and nothing of the body', async () => {
  const server = await start()
  const file = gzippedFile(10_000)
  const uuid = await publish(server, file)
  const { stdout } = await curl('-I', `${server.url}/images/${uuid}/file`)
  expect(stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  expect(stdout).toMatch(new RegExp(`^Content-Length: ${file.content.length}\r$`, 'im'))
  expect(stdout).toMatch(new RegExp(`^ETag: "${file.sha1}"\r$`, 'im'))
  expect(stdout.slice(stdout.indexOf('\r\n\r\n'))).toBe('\r\n\r\n')
  const image = await curl('-I', `${server.url}/images/${uuid}`)
  expect(image.stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
})

test('curl sends nothing of a large file to a server that refuses it', async () => {
  const server = await start()
  const uuid = await create(server)
  const large = sparseFile(64 * 1024 * 1024)
  const upload = (login: string, id: string, query: string) =>
    curl(
      '-u',
      login,
      '--upload-file',
      large,
      '-w',
      '\n%{http_code} %{size_upload}',
      `${server.url}/images/${id}/file${query}`,
    )
  const unauthorized = await upload('admin:wrong', uuid, '')
  expect(unauthorized.stdout).toMatch(/"code": "UnauthorizedError"[\s\S]*\n401 0$/)
  const unknown = await upload('admin:secret', crypto.randomUUID(), '')
  expect(unknown.stdout).toMatch(/"code": "ResourceNotFound"[\s\S]*\n404 0$/)
  const misspelt = await upload('admin:secret', uuid, '?compression=zip')
  expect(misspelt.stdout).toMatch(/"code": "InvalidParameter"[\s\S]*\n422 0$/)
  const accepted = await upload('admin:secret', uuid, '?compression=none')
  expect(accepted.stdout).toMatch(new RegExp(`\n200 ${64 * 1024 * 1024}$`))
})

test('curl shows the error of a refused upload also when it sent the file without asking', async () => {
  const server = await start()
  const uuid = await create(server)
  const large = sparseFile(256 * 1024 * 1024)
  for (let attempt = 0; attempt < 5; attempt++) {
    const { exitCode, stdout, stderr } = await curl(
      '-H',
      'Expect:',
      '-u',
      'admin:wrong',
      '--upload-file',
      large,
      `${server.url}/images/${uuid}/file?compression=none`,
    )
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(JSON.parse(stdout)).toEqual({ code: 'UnauthorizedError', message: 'Unauthorized' })
  }
})

const expectHead = (path: string, ...more: string[]) => [
  `PUT ${path} HTTP/1.1`,
  'Host: localhost',
  'Content-Length: 5',
  'Expect: 100-continue',
  ...more,
]

test('an upload that is wanted gets its 100 Continue, and the answer after the body', async () => {
  const server = await start()
  const uuid = await create(server)
  const connection = new RawConnection(server.port)
  connection.sendHead(...expectHead(`/images/${uuid}/file?compression=none`, AUTHORIZATION))
  expect(await connection.until(/\r\n\r\n/)).toBe('HTTP/1.1 100 Continue\r\n\r\n')
  connection.sendBody('hello')
  expect(await connection.until(/"size": 5/)).toContain('HTTP/1.1 200 OK')
  connection.end()
})

test('a manifest whose sender waits for a 100 Continue is taken too', async () => {
  const server = await start()
  const connection = new RawConnection(server.port)
  connection.sendHead(
    'POST /images HTTP/1.1',
    'Host: localhost',
    `Content-Length: ${MANIFEST.length}`,
    'Expect: 100-continue',
    AUTHORIZATION,
  )
  await connection.until(/^HTTP\/1.1 100 Continue\r\n\r\n$/)
  connection.sendBody(MANIFEST)
  expect(await connection.until(/"files": \[\]/)).toContain('HTTP/1.1 200 OK')
  connection.end()
})

test('an upload that is refused gets its answer at once, and never a 100 Continue', async () => {
  const server = await start()
  const uuid = await create(server)
  const refusals: [path: string, authorization: string[], status: string][] = [
    [`/images/${uuid}/file?compression=none`, [], '401 Unauthorized'],
    [`/images/${crypto.randomUUID()}/file?compression=none`, [AUTHORIZATION], '404 Not Found'],
    [`/images/${uuid}/file?compression=zip`, [AUTHORIZATION], '422 Unprocessable Entity'],
    [`/images/${uuid}/icon`, [AUTHORIZATION], '400 Bad Request'],
    [`/images/${uuid}/nothing`, [AUTHORIZATION], '404 Not Found'],
    [`/ping`, [AUTHORIZATION], '405 Method Not Allowed'],
  ]
  for (const [path, authorization, status] of refusals) {
    const connection = new RawConnection(server.port)
    connection.sendHead(...expectHead(path, ...authorization))
    const received = await connection.until(/"message": "[\s\S]*\n}$/)
    expect(received).toMatch(new RegExp(`^HTTP/1\\.1 ${status}\r\n`))
    expect(received).not.toContain('100 Continue')
    connection.end()
  }
})

test('after such a refusal the server ends the connection, whose body will never come', async () => {
  const server = await start()
  const uuid = await create(server)
  const connection = new RawConnection(server.port)
  connection.sendHead(...expectHead(`/images/${uuid}/file?compression=none`))
  await connection.until(/"message": "Unauthorized"\n}$/)
  // A client that was refused does not send the body; what it said next would be taken for it.
  expect(await connection.closed()).toMatch(/^Connection: close\r$/im)
})
