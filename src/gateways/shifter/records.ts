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

/** The records of a gateway: all in memory, a document each on disk, which is written before the memory is. */

const ids = z.array(z.number())
const texts = z.array(z.string())

const Stored = z.object({
  key: z.uuid(),
  system: z.string(),
  type: z.string(),
  status: z.enum(STATUSES),
  pulltag: z.string(),
  tags: texts,
  // It becomes the name of files that are written and removed.
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

/** Names of images, and whom they are for, are nobody else's business. */
const OWNER_ONLY = 0o600

const isOf = (record: ImageRecord, { system, type }: ImageRequest) =>
  record.system === system && record.type === type

export class Records {
  readonly #folder: string
  readonly #records = new Map<string, ImageRecord>()
  readonly #writes = new KeyedMutex()
  readonly #over = new Set<string>()
  /** Files that are no records; they stay where they are. */
  readonly unreadable: string[] = []

  constructor(folder: string) {
    this.#folder = folder
    makeFolderNow(folder, 0o700)
    for (const name of readdirSync(folder)) {
      const path = join(folder, name)
      if (name.endsWith('.new')) rmSync(path, { force: true })
      if (!name.endsWith('.json')) continue
      try {
        this.#show(path)
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

  /** What can be used by that name: type `id` is the image's id itself, which several records may have. */
  readyAll(request: ImageRequest): ImageRecord[] {
    if (request.type === 'id') return this.readyById(request.system, request.tag)
    const found = this.ready(request)
    return found ? [found] : []
  }

  /** The image of that name. */
  ready(request: ImageRequest): ImageRecord | undefined {
    const found = this.of(request.system).filter(
      record => record.status === 'READY' && isOf(record, request) && record.tags.includes(request.tag),
    )
    // While a tag goes from one to another, both have it.
    return found.sort((a, b) => (b.lastPull ?? 0) - (a.lastPull ?? 0))[0]
  }

  /** The records of one image, under all of its names. */
  readyById(system: string, id: string): ImageRecord[] {
    return this.of(system).filter(record => record.status === 'READY' && record.id === id)
  }

  /** The pull or import for that name which is queued or running. */
  underWay(request: ImageRequest): ImageRecord | undefined {
    return this.#pulls(request).find(record => isUnderWay(record) && !this.#over.has(record.key))
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
      // What was refused must not begin at the next start.
      await this.remove(added.key).catch(() => this.forget(added.key))
      throw error
    }
  }

  /** Applies a change to the record as it is by then. Throws if it is gone. */
  async update(key: string, change: (record: ImageRecord) => Partial<ImageRecord>): Promise<ImageRecord> {
    return this.#write(key, () => {
      const record = this.#records.get(key)
      if (!record) throw new Error(`the record ${key} is gone`)
      return { ...record, ...change(record) }
    })
  }

  async remove(key: string) {
    const path = this.#path(key)
    await this.#writes.run(key, async () => {
      this.#records.delete(key)
      this.#over.delete(key)
      await this.#attempt(key, () => commit(this.#folder, () => rm(path, { force: true })))
    })
  }

  /** Takes work that has ended for no longer under way, while its record still says so. */
  end(key: string) {
    this.#over.add(key)
  }

  /** Until the next start, which reads it again. */
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

  /** A change that fails may have happened: then what is on the disk counts, as after a restart. */
  async #attempt(key: string, change: () => Promise<void>) {
    try {
      await change()
    } catch (error) {
      this.#readAgain(key)
      throw error
    }
  }

  #readAgain(key: string) {
    const path = this.#path(key)
    try {
      if (existsSync(path)) this.#show(path)
      else this.#records.delete(key)
    } catch {
      // What is in memory is the best that is known.
    }
  }

  #show(path: string) {
    const record: ImageRecord = Stored.parse(readDocument(path))
    this.#records.set(record.key, record)
  }

  #path(key: string) {
    return join(this.#folder, `${key}.json`)
  }
}
