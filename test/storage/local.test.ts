import { mkdtempSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDatadir } from '../../src/storage/local/datadir.ts'
import { Hasher } from '../../src/storage/local/hasher.ts'
import { inspectDatadir } from '../../src/storage/local/inspect.ts'
import { namesIn, openFilesBelow } from '../support/folders.ts'
import { temporaryFolder } from '../support/server.ts'
import { until } from '../support/until.ts'
import { type TestStorage, testStorage } from './conformance.ts'

async function openStorage(folder: string): Promise<TestStorage> {
  let datadir = await openDatadir(folder)
  const storage: TestStorage = {
    ...datadir,
    close: () => datadir.close(),
    reopen: async () => {
      await datadir.close()
      datadir = await openDatadir(folder)
      return Object.assign(storage, datadir, { close: () => datadir.close() })
    },
    leftovers: async () => {
      // A close is not waited for; what stays open is listed below.
      await until('files are closed', () => openFilesBelow(folder).length === 0, 5000).catch(() => {})
      const { problems } = await inspectDatadir(folder, { mode: 'standalone', channels: false })
      return [
        ...namesIn(join(folder, '.tmp')),
        ...namesIn(join(folder, '.lock')),
        ...openFilesBelow(folder),
        ...problems.map(({ subject, message }) => `${subject}: ${message}`),
      ]
    },
  }
  return storage
}

testStorage('a local data directory', () => openStorage(mkdtempSync(join(temporaryFolder(), 'data-'))))

test('a file that cannot be hashed fails alone', async () => {
  const handle = await open(join(temporaryFolder(), 'empty'), 'w+')
  const hasher = new Hasher()
  const failing = hasher.follow(handle.fd, ['sha1'])
  failing.advance(100)
  await expect(failing.finish()).rejects.toThrow('shorter')
  await failing.cancel()
  const next = hasher.follow(handle.fd, ['sha1'])
  expect(await next.finish()).toEqual(['da39a3ee5e6b4b0d3255bfef95601890afd80709'])
  await hasher.close()
  await handle.close()
})
