import { closeSync, mkdirSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bytes, call, create, manifest, uuid } from '../support/api.ts'
import { curl } from '../support/curl.ts'
import { isLinux, peakMemory, residentMemory } from '../support/process.ts'
import { AUTH, PASSWORD, startServer, temporaryFolder, USER } from '../support/server.ts'

/** What large files and many changes cost, in MiB. */

const SIZE = 1.5 * 1024 * 1024 * 1024
const MOST_MEMORY = 200
const MOST_GROWTH = 70

/** Mostly holes, so that it costs no room and little time, with something to tell its parts apart. */
function largeFile() {
  const path = join(temporaryFolder(), 'large.zfs')
  const file = openSync(path, 'w')
  for (const at of [0, SIZE / 3, SIZE - 1000]) writeSync(file, bytes(1000), 0, 1000, Math.floor(at))
  closeSync(file)
  truncateSync(path, SIZE)
  return path
}

test.runIf(isLinux)(`1.5 GiB go up and down with less than ${MOST_MEMORY} MiB of memory`, async () => {
  const server = await startServer()
  const { uuid: id } = await create(server)
  const url = `${server.url}/images/${id}`
  const login = ['-u', `${USER}:${PASSWORD}`]
  const path = largeFile()
  const upload = await curl(...login, '--upload-file', path, `${url}/file?compression=none`)
  const [file] = JSON.parse(upload.stdout).files
  expect(file.size).toBe(SIZE)
  await call(server, 'POST', `/images/${id}?action=activate`)

  const written = '%{http_code} %{size_download}'
  const download = await curl('-o', '/dev/null', '-w', written, `${url}/file`)
  expect(download).toMatchObject({ exitCode: 0, stdout: `200 ${SIZE}` })
  const tail = await curl('-r', '-1000', '-o', '/dev/null', '-w', written, `${url}/file`)
  expect(tail.stdout).toBe('206 1000')
  expect(peakMemory(server.pid)).toBeLessThan(MOST_MEMORY)
})

/** Images with a manifest of about 20 KB each. */
function writeLargeManifests(datadir: string, count: number): string[] {
  return Array.from({ length: count }, () => {
    const id = uuid()
    mkdirSync(join(datadir, id), { recursive: true })
    const image = { ...manifest({ uuid: id }), owner: uuid(), tags: { text: 'x'.repeat(20_000) } }
    writeFileSync(join(datadir, id, 'manifest.json'), JSON.stringify(image))
    return id
  })
}

test.runIf(isLinux)('memory does not grow with the changes that lists were made after', async () => {
  const folder = temporaryFolder()
  const ids = writeLargeManifests(join(folder, 'data'), 40)
  const server = await startServer({ folder })
  const rounds = async (count: number) => {
    for (let round = 0; round < count; round++) {
      const path = `/images/${ids[round % ids.length]}?action=update`
      expect((await call(server, 'POST', path, { body: { description: `${round}` } })).status).toBe(200)
      const list = await fetch(`${server.url}/images?state=all`, { headers: AUTH })
      expect((await list.arrayBuffer()).byteLength).toBeGreaterThan(40 * 20_000)
    }
  }
  await rounds(60)
  const before = residentMemory(server.pid)
  await rounds(200)
  // Each round renders 800 KB again.
  expect(residentMemory(server.pid) - before).toBeLessThan(MOST_GROWTH)
})
