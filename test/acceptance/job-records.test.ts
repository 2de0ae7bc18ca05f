import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { publish, uuid } from '../support/api.ts'
import { namesIn } from '../support/folders.ts'
import { importFrom, startImporter } from '../support/imports.ts'
import { startServer, temporaryFolder } from '../support/server.ts'
import { until } from '../support/until.ts'

const MOST_KEPT = 5000

/** Records of imports that ended a few minutes ago, as the server writes them; oldest first. */
function writeRecords(folder: string, count: number): string[] {
  mkdirSync(folder, { recursive: true })
  const now = Date.now()
  return Array.from({ length: count }, (_, index) => {
    const time = new Date(now - (count - index) * 100).toISOString()
    const source = 'http://127.0.0.1:1/'
    const job = {
      ...{ uuid: uuid(), task: 'import-remote-image', image_uuid: uuid(), source, secret_source: source },
      ...{ state: 'succeeded', retries: 0, created_at: time, finished_at: time },
      ...{ steps: [], made: [], partials: [] },
    }
    writeFileSync(join(folder, `${job.uuid}.json`), JSON.stringify(job))
    return `${job.uuid}.json`
  })
}

test('records of imports that are over are kept up to a number, the newest of them, also while the server runs', async () => {
  const folder = temporaryFolder()
  const jobs = join(folder, 'data', '.jobs')
  const records = writeRecords(jobs, MOST_KEPT + 3)
  const server = await startImporter({ folder })
  const kept = () => new Set(namesIn(jobs))
  expect(kept().size).toBe(MOST_KEPT)
  for (const gone of records.slice(0, 3)) expect(kept()).not.toContain(gone)
  const source = await startServer()
  const image = await publish(source)
  const { uuid: job } = await importFrom(server, image.uuid, source.url)
  expect(kept()).toContain(`${job}.json`)
  await until('the oldest one to be forgotten', () => !kept().has(records[3]!))
  expect(kept().size).toBe(MOST_KEPT)
})
