import { existsSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { count, time, uuid } from '../../images/value-rules.ts'
import type { Job, JobStore } from '../../imports/jobs/job.ts'
import { JobStateSchema, JobStepSchema } from '../../imports/jobs/job-record.ts'
import { KeyedMutex } from '../../util/keyed-mutex.ts'
import { readDocument, writeDocument } from './document.ts'
import { commit } from './durable.ts'
import { jobPath, type Layout, partialPath, temporaryPath } from './layout.ts'

/** Permissions of a record, since the URL of its source may contain a password. */
const OWNER_ONLY = 0o600

const PARTIAL = /^([0-9a-f-]{36}-[0-9a-f]{40})\.partial$/

const SourceFile = z.object({ size: count.optional(), validator: z.string().optional() })

/** The schema of `fetch` in a stored record. Version 1.0.0 wrote `source_file` as `told`. */
const FetchedImage = z
  .object({
    manifest: z.record(z.string(), z.unknown()),
    source: z.string(),
    time_limit: count,
    source_file: SourceFile.optional(),
    told: SourceFile.optional(),
    booted_at: count.optional(),
  })
  .transform(({ told, source_file = told, ...fetch }) => ({ ...fetch, ...(source_file && { source_file }) }))

/** The schema of a stored record. */
const StoredJob = z.looseObject({
  uuid,
  task: z.enum(['import-remote-image', 'import-dc-image', 'fetch-image']),
  image_uuid: uuid,
  source: z.url(),
  secret_source: z.url({ protocol: /^https?$/ }),
  channel: z.string().optional(),
  state: JobStateSchema,
  retries: count,
  interruptions: count.default(0),
  last_retry: z.object({ message: z.string(), at: time }).optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
  created_at: time,
  started_at: time.optional(),
  finished_at: time.optional(),
  steps: z.array(JobStepSchema),
  made: z.array(uuid).optional(),
  partials: z.array(z.string().regex(/^[0-9a-f-]{36}-[0-9a-f]{40}$/)),
  fetch: FetchedImage.optional(),
})

/** Stores the records of jobs, one document per job. */
export class LocalJobs implements JobStore {
  readonly #layout: Layout
  /** Writes of one record run in order, so that the newest one remains. */
  readonly #writes = new KeyedMutex()

  constructor(layout: Layout) {
    this.#layout = layout
  }

  async list(): Promise<Job[]> {
    const { jobs } = this.#layout
    const names = readdirSync(jobs).filter(name => name.endsWith('.json'))
    return names.flatMap(name => {
      try {
        const job: Job = StoredJob.parse(readDocument(join(jobs, name)))
        return name === `${job.uuid}.json` ? [job] : []
      } catch {
        // Edited by hand, or damaged: the operator can request the import again.
        return []
      }
    })
  }

  async save(job: Job) {
    const write = async () => {
      const path = jobPath(this.#layout, job.uuid)
      await writeDocument(path, () => temporaryPath(this.#layout), { ...job }, OWNER_ONLY)
    }
    await this.#writes.run(job.uuid, write)
  }

  async has(uuid: string) {
    return existsSync(jobPath(this.#layout, uuid))
  }

  async sweep(isWanted: (name: string) => boolean) {
    for (const file of readdirSync(this.#layout.jobs)) {
      const name = PARTIAL.exec(file)?.[1]
      if (name && !isWanted(name)) await rm(partialPath(this.#layout, name), { force: true })
    }
  }

  async remove(uuid: string) {
    await this.#writes.run(uuid, () =>
      commit(this.#layout.jobs, () => rm(jobPath(this.#layout, uuid), { force: true })),
    )
  }
}
