import { setTimeout as pause } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { HttpClient } from '../../src/sources/http-client.ts'
import { download } from '../../src/sources/resumable.ts'
import { startSource } from '../support/source.ts'

const RETRY = { retries: 0, firstDelay: 10, longestDelay: 10 }

test('a download that fails before it is read ends neither the process nor unnoticed', async () => {
  const source = await startSource((_, response) => response.writeHead(404).end('{}'))
  const client = new HttpClient({ allowPrivate: true, stallTimeout: 1000, userAgent: 'test', sources: [] })
  onTestFinished(() => client.close())
  const { signal } = new AbortController()
  const options = { offset: 0, isVerified: true, signal, retry: RETRY }
  const stream = download(client, new URL(`${source.url}/file`), options)
  while (!stream.closed) await pause(5)
  const read = async () => {
    for await (const chunk of stream) expect(chunk).toBeDefined()
  }
  await expect(read()).rejects.toMatchObject({ name: 'SourceError', status: 404 })
})
