import { JobRecordSchema } from '../../src/imports/jobs/job-record.ts'
import { type Answer, call } from './api.ts'
import { type ServerOptions, startServer, type TestServer } from './server.ts'
import { until } from './until.ts'

/** A server that imports from this machine, and does not wait long between its attempts. */
export const startImporter = ({ config, ...options }: ServerOptions = {}) =>
  startServer({
    ...options,
    config: {
      allowPrivateSources: true,
      imports: { concurrency: 2, retries: 5, firstDelay: 20, longestDelay: 100 },
      ...config,
    },
  })

export const askImport = (server: TestServer, uuid: string, source: string): Promise<Answer> =>
  call(server, 'POST', `/images/${uuid}?action=import-remote&source=${encodeURIComponent(source)}`)

export const jobOf = async (server: TestServer, job: string) =>
  (await call(server, 'GET', `/jobs/${job}`, { anonymous: true })).body

/** The record of a job that is over. */
export async function finished(server: TestServer, job: string) {
  let record = await jobOf(server, job)
  const isOver = async () => {
    record = await jobOf(server, job)
    return record.execution !== 'queued' && record.execution !== 'running'
  }
  await until(`the end of job ${job}`, isOver)
  // It has the fields that are described, and no others.
  JobRecordSchema.strict().parse(record)
  return record
}

/** Asks for an import and waits for its end. */
export async function importFrom(server: TestServer, uuid: string, source: string) {
  const asked = await askImport(server, uuid, source)
  if (asked.status !== 200) throw new Error(`import: ${asked.status} ${asked.text}`)
  return finished(server, asked.body.job_uuid)
}
