import { readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Job, JobStore } from '../../jobs/job.ts'
import { readDocument, writeDocument } from './document.ts'
import { syncFolder } from './durable.ts'
import { jobPath, type Layout, temporaryPath } from './layout.ts'

/** A source's URL may have a password in it. */
const OWNER_ONLY = 0o600

/** Records of jobs, a document each. */
export class LocalJobs implements JobStore {
  readonly #layout: Layout
  /** The last write of each record, which the next one waits for: the newest must stay. */
  readonly #writes = new Map<string, Promise<void>>()

  constructor(layout: Layout) {
    this.#layout = layout
  }

  async list(): Promise<Job[]> {
    const { jobs } = this.#layout
    const names = readdirSync(jobs).filter(name => name.endsWith('.json'))
    return names.flatMap(name => {
      try {
        return [readDocument(join(jobs, name)) as unknown as Job]
      } catch {
        // Somebody's edit; the import can be asked for again.
        return []
      }
    })
  }

  async save(job: Job) {
    const write = async () => {
      const path = jobPath(this.#layout, job.uuid)
      await writeDocument(path, () => temporaryPath(this.#layout), { ...job }, OWNER_ONLY)
    }
    const last = this.#writes.get(job.uuid) ?? Promise.resolve()
    const next = last.then(write, write)
    this.#writes.set(job.uuid, next)
    try {
      await next
    } finally {
      if (this.#writes.get(job.uuid) === next) this.#writes.delete(job.uuid)
    }
  }

  async remove(uuid: string) {
    await this.#writes.get(uuid)?.catch(() => {})
    await rm(jobPath(this.#layout, uuid), { force: true })
    await syncFolder(this.#layout.jobs)
  }
}
