import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { readDocument, writeDocument } from '../../storage/local/document.ts'
import { commit, makeFolderNow } from '../../storage/local/durable.ts'
import { KeyedMutex } from '../../util/keyed-mutex.ts'
import type { ImageRequest } from './image-name.ts'
import { type ImageRecord, isUnderWay, STATUSES } from './record.ts'

/** Stores the records of a gateway: all in memory, and each as a document on disk, which is written first. */

const ids = z.array(z.number())
const texts = z.array(z.string())

const Stored = z.object({
  key: z.uuid(),
  system: z.string(),
  type: z.string(),
  status: z.enum(STATUSES),
  pulltag: z.string(),
  tags: texts,
  // Strict, because it becomes the name of files that are written and removed.
  id: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  format: z.string().regex(/^\w+$/),
  isPrivate: z.boolean(),
  userACL: ids.nullable(),
  groupACL: ids.nullable(),
  image: z
    .object({
      env: texts,
      entry: texts,
      cmd: texts,
      workdir: z.string().optional(),
      labels: z.record(z.string(), z.string()).optional(),
    })
    .optional(),
  imported: z.object({ filepath: z.string(), version: z.string() }).optional(),
  lastPull: z.number().optional(),
  expiration: z.number().optional(),
  message: z.string().optional(),
  work: z
    .object({
      user: z.string(),
      uid: z.number().optional(),
      gid: z.number().optional(),
      userACL: ids,
      groupACL: ids,
      hasCredentials: z.boolean(),
      crashes: z.number().optional(),
      filepath: z.string().optional(),
    })
    .optional(),
})

/** The names of private images and their users are confidential. */
const OWNER_ONLY = 0o600

const isOf = (record: ImageRecord, { system, type }: ImageRequest) =>
  record.system === system && record.type === type

export class Records {
  readonly #folder: string
  readonly #records = new Map<string, ImageRecord>()
  readonly #writes = new KeyedMutex()
  /** Keys of records whose work has ended, although their status is that of running work. */
  readonly #ended = new Set<string>()
  /** Paths of files that are not valid records; they are left unchanged. */
  readonly unreadable: string[] = []

  constructor(folder: string) {
    this.#folder = folder
    makeFolderNow(folder, 0o700)
    for (const name of readdirSync(folder)) {
      const path = join(folder, name)
      if (name.endsWith('.new')) rmSync(path, { force: true })
      if (!name.endsWith('.json')) continue
      try {
        this.#load(path)
      } catch {
        this.unreadable.push(path)
      }
    }
  }

  all(): ImageRecord[] {
    return [...this.#records.values()]
  }

  of(system: string): ImageRecord[] {
    return this.all().filter(record => record.system === system)
  }

  find(key: string): ImageRecord | undefined {
    return this.#records.get(key)
  }

  /**
   * Returns the READY records of a name. With type `id` the tag is the image's id, which several records may have.
   */
  readyAll(request: ImageRequest): ImageRecord[] {
    if (request.type === 'id') return this.readyById(request.system, request.tag)
    const found = this.ready(request)
    return found ? [found] : []
  }

  /** Returns the READY record of a name. */
  ready(request: ImageRequest): ImageRecord | undefined {
    const found = this.of(request.system).filter(
      record => record.status === 'READY' && isOf(record, request) && record.tags.includes(request.tag),
    )
    // While a tag moves from one record to another, both have it.
    return found.sort((a, b) => (b.lastPull ?? 0) - (a.lastPull ?? 0))[0]
  }

  /** Returns the READY records of one image, under all of its names. */
  readyById(system: string, id: string): ImageRecord[] {
    return this.of(system).filter(record => record.status === 'READY' && record.id === id)
  }

  /** Returns the pull or import of a name that is queued or running. */
  underWay(request: ImageRequest): ImageRecord | undefined {
    return this.#pulls(request).find(record => isUnderWay(record) && !this.#ended.has(record.key))
  }

  failures(request: ImageRequest): ImageRecord[] {
    return this.#pulls(request).filter(({ status }) => status === 'FAILURE')
  }

  #pulls(request: ImageRequest): ImageRecord[] {
    return this.of(request.system).filter(
      record => isOf(record, request) && record.pulltag === request.tag && record.status !== 'READY',
    )
  }

  async add(record: Omit<ImageRecord, 'key'>): Promise<ImageRecord> {
    const added = { ...record, key: randomUUID() }
    try {
      return await this.#write(added.key, () => added)
    } catch (error) {
      // The client gets an error, so the next start must not run this work.
      await this.remove(added.key).catch(() => this.forget(added.key))
      throw error
    }
  }

  /** Applies a change to the current record, on disk and then in memory. Rejects if the record no longer exists. */
  async update(key: string, change: (record: ImageRecord) => Partial<ImageRecord>): Promise<ImageRecord> {
    return this.#write(key, () => {
      const record = this.#records.get(key)
      if (!record) throw new Error(`the record ${key} no longer exists`)
      return { ...record, ...change(record) }
    })
  }

  async remove(key: string) {
    const path = this.#path(key)
    await this.#writes.run(key, async () => {
      this.#records.delete(key)
      this.#ended.delete(key)
      await this.#attempt(key, () => commit(this.#folder, () => rm(path, { force: true })))
    })
  }

  /** Marks work as ended, while its record still has the status of running work. */
  end(key: string) {
    this.#ended.add(key)
  }

  /** Removes a record from memory only; the next start reads it again. */
  forget(key: string) {
    this.#records.delete(key)
  }

  async #write(key: string, make: () => ImageRecord): Promise<ImageRecord> {
    return this.#writes.run(key, async () => {
      const record = make()
      const path = this.#path(key)
      await this.#attempt(key, () => writeDocument(path, () => `${path}.new`, { ...record }, OWNER_ONLY))
      this.#records.set(key, record)
      return record
    })
  }

  /** Runs a change on disk. If it fails it may have taken effect, so the record is reloaded from disk. */
  async #attempt(key: string, change: () => Promise<void>) {
    try {
      await change()
    } catch (error) {
      this.#reload(key)
      throw error
    }
  }

  #reload(key: string) {
    const path = this.#path(key)
    try {
      if (existsSync(path)) this.#load(path)
      else this.#records.delete(key)
    } catch {
      // Unreadable: keep the record in memory.
    }
  }

  #load(path: string) {
    const record: ImageRecord = Stored.parse(readDocument(path))
    this.#records.set(record.key, record)
  }

  #path(key: string) {
    return join(this.#folder, `${key}.json`)
  }
}
