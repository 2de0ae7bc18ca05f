import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, mkdir, readdir, rename, rm, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { openRegular } from '../../util/regular-file.ts'
import { SourceError } from '../http-client.ts'
import { fetchPartial } from '../verified-fetch.ts'

export interface Blob {
  /** `sha256:...` */
  digest: string
  size: number
}

/** A blob that is not evicted until it is released. */
export interface Lease {
  path: string
  release(): Promise<void>
}

const PARTIAL = '.partial'
const nameOf = (digest: string) => digest.replace(':', '-')
/**
 * Returns the name of a partial file. It is specific to the source, as another one may be slow or never answer.
 */
const partialOf = (name: string, source: string) =>
  `${name}@${createHash('sha256').update(source).digest('hex').slice(0, 16)}${PARTIAL}`
/** Returns the name of the blob to which a file, complete or partial, belongs. */
const blobOf = (file: string) => file.replace(PARTIAL, '').replace(/@.*/, '')

/**
 * Stores fetched blobs by their digest, complete and verified. Evicts the least recently used ones above the limit; only
 * blobs that are in use can exceed it.
 */
export class BlobCache {
  readonly #folder: string
  readonly #limit: number
  readonly #leases = new Map<string, number>()
  readonly #fetching = new Map<string, Promise<string>>()
  /** Full sizes of the partial files that are being fetched, by name. */
  readonly #expected = new Map<string, number>()
  /** Evictions run one at a time, so that none counts a file that another one is removing. */
  #lastEviction: Promise<unknown> = Promise.resolve()

  /** `limit`: bytes. */
  constructor(folder: string, limit: number) {
    this.#folder = folder
    this.#limit = limit
  }

  /**
   * Leases a blob, and fetches it if it is not stored. Concurrent calls for the same source share one fetch. `fetch`:
   * returns the bytes from an offset on. Throws SourceError if they do not match the digest.
   */
  async lease(blob: Blob, fetch: (offset: number) => Readable, source = ''): Promise<Lease> {
    const name = nameOf(blob.digest)
    this.#leases.set(name, (this.#leases.get(name) ?? 0) + 1)
    let isReleased = false
    const release = async () => {
      if (isReleased) return
      isReleased = true
      const others = this.#leases.get(name)! - 1
      if (others === 0) this.#leases.delete(name)
      else this.#leases.set(name, others)
      await this.#evict()
    }
    try {
      return { path: await this.#fetchShared(name, blob, fetch, source), release }
    } catch (error) {
      await release()
      throw error
    }
  }

  #fetchShared(
    name: string,
    blob: Blob,
    fetch: (offset: number) => Readable,
    source: string,
  ): Promise<string> {
    const partial = partialOf(name, source)
    const others = this.#fetching.get(partial)
    // The other call may fail because it was aborted or lacks permission: then fetch with this call's own.
    if (others) return others.catch(() => this.#fetchShared(name, blob, fetch, source))
    const fetching = this.#fetch(name, partial, blob, fetch).finally(() => {
      this.#fetching.delete(partial)
      this.#expected.delete(partial)
    })
    this.#fetching.set(partial, fetching)
    return fetching
  }

  async #fetch(
    name: string,
    partialName: string,
    blob: Blob,
    fetch: (offset: number) => Readable,
  ): Promise<string> {
    const path = join(this.#folder, name)
    const found = await statFile(path)
    if (found?.size === blob.size) {
      const now = new Date()
      await utimes(path, now, now)
      return path
    }
    await mkdir(this.#folder, { recursive: true })
    this.#expected.set(partialName, blob.size)
    await this.#evict()
    const partial = join(this.#folder, partialName)
    // A link or a folder in its place is removed.
    await statFile(partial)
    const { handle } = await openRegular(partial, constants.O_RDWR | constants.O_CREAT, 0o600)
    await fetchPartial(partial, handle, {
      algorithm: 'sha256',
      expected: { size: blob.size, digest: blob.digest.replace('sha256:', '') },
      open: fetch,
      mismatch: () => new SourceError(`the registry sent other bytes than those of digest ${blob.digest}`),
    })
    await rename(partial, path)
    return path
  }

  /** Evicts the least recently used blobs until there is room for all that are being fetched. */
  #evict(): Promise<void> {
    const evicted = this.#lastEviction.then(() => this.#makeRoom())
    this.#lastEviction = evicted.catch(() => {})
    return evicted
  }

  async #makeRoom() {
    const names = await readdir(this.#folder).catch(() => [])
    const entries = await Promise.all(
      names.map(async name => {
        const found = await lstat(join(this.#folder, name)).catch(() => undefined)
        return { name, size: found?.size ?? 0, used: found?.mtimeMs ?? 0 }
      }),
    )
    const settled = entries.filter(({ name }) => !this.#expected.has(name))
    const expected = [...this.#expected.values()].reduce((sum, size) => sum + size, 0)
    let total = settled.reduce((sum, { size }) => sum + size, expected)
    for (const { name, size } of settled.sort((a, b) => a.used - b.used)) {
      if (total <= this.#limit) return
      if (this.#leases.has(blobOf(name))) continue
      await rm(join(this.#folder, name), { recursive: true, force: true })
      total -= size
    }
  }
}

/** Returns the stats of a file, undefined if there is none. Removes links and anything else that is not a file. */
async function statFile(path: string) {
  const found = await lstat(path).catch(() => undefined)
  if (!found || found.isFile()) return found
  await rm(path, { recursive: true, force: true })
  return undefined
}
