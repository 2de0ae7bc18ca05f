import { closeSync, openSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bytes, call, create } from '../support/api.ts'
import { curl } from '../support/curl.ts'
import { isLinux, peakMemory } from '../support/process.ts'
import { PASSWORD, startServer, temporaryFolder, USER } from '../support/server.ts'

/** What large files cost. */

const SIZE = 1.5 * 1024 * 1024 * 1024
const MOST_MEMORY = 200

/** Mostly holes, so that it costs no room and little time, with something to tell its parts apart. */
function largeFile() {
  const path = join(temporaryFolder(), 'large.zfs')
  const file = openSync(path, 'w')
  for (const at of [0, SIZE / 3, SIZE - 1000]) writeSync(file, bytes(1000), 0, 1000, Math.floor(at))
  closeSync(file)
  truncateSync(path, SIZE)
  return path
}

test.runIf(isLinux)(
  `1.5 GiB go up and down with less than ${MOST_MEMORY} MiB of memory`,
  { timeout: 180_000 },
  async () => {
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
  },
)
