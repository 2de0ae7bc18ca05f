import { rmSync, writeFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { addFile, bytes, call, create, md5, publish, sha1 } from '../support/api.ts'
import { namesIn, treeOf } from '../support/folders.ts'
import { askImport, finished } from '../support/imports.ts'
import { runProgram } from '../support/program.ts'
import { AUTH, PROGRAM, startServer, type TestServer, temporaryFolder } from '../support/server.ts'
import { canMount, mountDisk, unmount } from '../support/small-disk.ts'
import { imgapi, remoteManifest, sendContent, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

const MEGABYTE = 1024 * 1024

interface SmallServer extends TestServer {
  /** What its answers say about the disk. */
  complaint: string
  /** Leaves no room for even one file more, where that can be done; and gives the room back. */
  fill(): Promise<void>
  free(): void
}

type Start = () => Promise<SmallServer>

async function onSmallDisk(config: Record<string, unknown> = {}): Promise<SmallServer> {
  const disk = join(temporaryFolder(), 'disk')
  mountDisk(disk)
  onTestFinished(() => void unmount(disk))
  const filler = join(disk, 'filler')
  const server = await startServer({ config: { datadir: join(disk, 'data'), ...config } })
  return {
    ...server,
    datadir: join(disk, 'data'),
    complaint: 'the disk is full',
    fill: async () => {
      const { bavail, bsize } = await statfs(disk)
      writeFileSync(filler, Buffer.alloc(bavail * bsize))
    },
    free: () => rmSync(filler, { force: true }),
  }
}

/** Where nothing can be mounted: a server that may write no file larger than 6 MB. */
async function underFileLimit(): Promise<SmallServer> {
  const command = ['sh', '-c', 'ulimit -f 12288; exec "$0" "$@"', process.execPath, PROGRAM]
  const server = await startServer({ command })
  return { ...server, complaint: 'larger than the system allows', fill: async () => {}, free: () => {} }
}

const LIMIT: [string, Start] = ['under a file-size limit', underFileLimit]
const WAYS: [string, Start][] = canMount() ? [['on a small disk', onSmallDisk], LIMIT] : [LIMIT]
const startSmallServer = WAYS[0]![1]

const isFull = ({ complaint }: SmallServer) => ({
  status: 503,
  body: { code: 'StorageIsDown', message: expect.stringContaining(complaint) },
})

test.each(WAYS)(
  '%s: an upload that does not fit is refused and leaves the file before it as it was',
  async (_, start) => {
    const server = await start()
    const { uuid } = await create(server)
    const before = bytes(3 * MEGABYTE)
    await addFile(server, uuid, before)
    await call(server, 'GET', `/images/${uuid}/file`)
    await until('the md5 kept', () => namesIn(join(server.datadir, '.cache')).length === 1)
    const tree = treeOf(server.datadir)
    for (const size of [7 * MEGABYTE, 12 * MEGABYTE]) {
      const answer = await call(server, 'PUT', `/images/${uuid}/file`, { body: bytes(size) })
      expect(answer).toMatchObject(isFull(server))
      expect(namesIn(join(server.datadir, '.tmp'))).toEqual([])
      expect(namesIn(join(server.datadir, uuid))).toHaveLength(2)
      const file = await call(server, 'GET', `/images/${uuid}`)
      expect(file.body.files[0].sha1).toBe(sha1(before))
    }
    const kept = await fetch(`${server.url}/images/${uuid}/file`, { headers: AUTH })
    expect(Buffer.from(await kept.arrayBuffer()).equals(before)).toBe(true)
    const ignoreTimes = (all: Record<string, string>) =>
      Object.entries(all).map(([path, entry]) => [path, entry.split(' ')[1]])
    expect(ignoreTimes(treeOf(server.datadir))).toEqual(ignoreTimes(tree))

    await server.fill()
    const small = bytes(MEGABYTE)
    if (server.complaint === 'the disk is full') {
      expect(await call(server, 'PUT', `/images/${uuid}/file`, { body: small })).toMatchObject(isFull(server))
    }
    server.free()
    const answer = await call(server, 'PUT', `/images/${uuid}/file`, { body: small })
    expect(answer).toMatchObject({ status: 200, body: { files: [{ sha1: sha1(small) }] } })
    expect((await call(server, 'POST', `/images/${uuid}?action=activate`)).status).toBe(200)
    expect((await runProgram('check', '-c', server.configPath)).code).toBe(0)
  },
)

test('on a full disk nothing is made or changed, everything can be read, and deleting makes room', async () => {
  const server = await startSmallServer()
  const content = bytes(5 * MEGABYTE)
  const image = await publish(server, content)
  await server.fill()
  const isReallyFull = server.complaint === 'the disk is full'
  const images = () => treeOf(server.datadir, { except: ['.tmp'] })
  const tree = images()
  const changes = [
    ['POST', '/images', { name: 'new', version: '1', type: 'other', os: 'other' }],
    ['POST', `/images/${image.uuid}?action=update`, { name: 'renamed' }],
    ['POST', `/images/${image.uuid}?action=disable`, undefined],
  ] as const
  for (const [method, path, body] of isReallyFull ? changes : []) {
    expect(await call(server, method, path, { body })).toMatchObject(isFull(server))
  }
  if (isReallyFull) expect(images()).toEqual(tree)
  const list = await call(server, 'GET', '/images?state=all')
  expect(list.body).toEqual([image])
  // The digest has not been kept, and is told all the same.
  for (let time = 0; time < 2; time++) {
    const file = await fetch(`${server.url}/images/${image.uuid}/file`)
    expect(file.headers.get('content-md5')).toBe(md5(content))
    expect(Buffer.from(await file.arrayBuffer()).equals(content)).toBe(true)
  }
  expect(namesIn(join(server.datadir, '.tmp'))).toEqual([])
  expect((await call(server, 'DELETE', `/images/${image.uuid}`)).status).toBe(204)
  await publish(server, bytes(MEGABYTE))
})

test('a server starts on a full disk, so that images can be deleted there', async () => {
  const server = await startSmallServer()
  const image = await publish(server, bytes(4 * MEGABYTE))
  await server.fill()
  expect(await server.stop()).toBe(0)
  const again = await startServer({ folder: server.folder, config: { datadir: server.datadir } })
  expect((await call(again, 'GET', `/images/${image.uuid}`)).body).toEqual(image)
  expect((await call(again, 'DELETE', `/images/${image.uuid}`)).status).toBe(204)
})

test('on a full disk imports are refused; one that fills it gives the room back and says so', async context => {
  if (startSmallServer !== onSmallDisk) return context.skip('file systems cannot be mounted here')
  const content = bytes(7 * MEGABYTE)
  const manifest = remoteManifest(content)
  const source = await startSource(
    imgapi([manifest], (request, response) => sendContent(content, request, response)),
  )
  const server = await onSmallDisk({
    allowPrivateSources: true,
    gateways: { mistify: { prefix: '/mistify' } },
  })
  const ask = () => askImport(server, manifest.uuid, source.url)
  const fetchOther = () =>
    call(server, 'POST', '/mistify/images', {
      body: { source: `${source.url}/images/${manifest.uuid}/file`, type: 'kvm' },
    })
  await server.fill()
  expect(await ask()).toMatchObject(isFull(server))
  expect(await fetchOther()).toMatchObject({ status: 503 })
  expect((await call(server, 'GET', '/jobs')).body).toEqual([])
  server.free()
  // Room for a part of it.
  writeFileSync(join(server.datadir, '..', 'filler'), Buffer.alloc(3 * MEGABYTE))
  const fetched = await fetchOther()
  expect(fetched.status).toBe(202)
  const jobs = async () => (await call(server, 'GET', '/jobs')).body as Record<string, unknown>[]
  await until('the fetch is over', async () => (await jobs())[0]?.state === 'failed')
  const asked = await ask()
  await finished(server, asked.body.job_uuid)
  for (const job of await jobs()) {
    const { error } = job as { error: { code: string; message: string } }
    expect(error).toMatchObject({ code: 'StorageIsDown' })
    expect(error.message).toContain('the disk is full')
    expect(error.message).toContain('what had arrived of the image was removed to make room')
  }
  expect(namesIn(join(server.datadir, '.jobs')).filter(name => name.endsWith('.partial'))).toEqual([])
  await publish(server, bytes(4 * MEGABYTE))
})

test.each(WAYS)('%s: a client that is still sending is told at once', async (_, start) => {
  const server = await start()
  const { uuid } = await create(server)
  // Far more than fits into any buffer on the way.
  const answer = await call(server, 'PUT', `/images/${uuid}/file`, { body: bytes(60 * MEGABYTE) })
  expect(answer).toMatchObject(isFull(server))
  expect(namesIn(join(server.datadir, '.tmp'))).toEqual([])
  await addFile(server, uuid, bytes(1000))
})
