import { createHash, type Hash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, lstat, mkdir, readdir, rename, rm, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { openRegular } from '../../util/regular-file.ts'
import { SourceError } from '../http-client.ts'

export interface Blob {
  /** `sha256:...` */
  digest: string
  size: number
}

/** A blob that stays where it is until it is released. */
export interface Lease {
  path: string
  release(): Promise<void>
}

const PARTIAL = '.partial'
const nameOf = (digest: string) => digest.replace(':', '-')
/** What is being fetched, of one source: another one may send it slowly, or never. */
const partialOf = (name: string, source: string) =>
  `${name}@${createHash('sha256').update(source).digest('hex').slice(0, 16)}${PARTIAL}`
/** The name of the blob that a file is, or becomes. */
const blobOf = (file: string) => file.replace(PARTIAL, '').replace(/@.*/, '')

/**
 * Blobs that were fetched, by their digest. What is in it is whole and right; what has not been used for the
 * longest time goes first when there is not enough room. Only what is in use at this moment can make it larger
 * than it may be.
 */
export class BlobCache {
  readonly #folder: string
  readonly #limit: number
  readonly #held = new Map<string, number>()
  readonly #fetching = new Map<string, Promise<string>>()
  /** Sizes of what is being fetched, of which only a part is there, by the name of its file. */
  readonly #expected = new Map<string, number>()
  /** One at a time, so that none counts what another one is removing. */
  #lastEviction: Promise<unknown> = Promise.resolve()

  /** `limit`: bytes. */
  constructor(folder: string, limit: number) {
    this.#folder = folder
    this.#limit = limit
  }

  /**
   * The blob, fetched if it is not there: once of each source, however many ask. `fetch`: its bytes from an offset
   * on. Throws SourceError if they are not those of the digest.
   */
  async take(blob: Blob, fetch: (offset: number) => Readable, source = ''): Promise<Lease> {
    const name = nameOf(blob.digest)
    this.#held.set(name, (this.#held.get(name) ?? 0) + 1)
    let isReleased = false
    const release = async () => {
      if (isReleased) return
      isReleased = true
      const others = this.#held.get(name)! - 1
      if (others === 0) this.#held.delete(name)
      else this.#held.set(name, others)
      await this.#evict()
    }
    try {
      return { path: await this.#bringOnce(name, blob, fetch, source), release }
    } catch (error) {
      await release()
      throw error
    }
  }

  #bringOnce(name: string, blob: Blob, fetch: (offset: number) => Readable, source: string): Promise<string> {
    const partial = partialOf(name, source)
    const others = this.#fetching.get(partial)
    // Theirs may fail because they left, or may not read it: that says nothing of ours.
    if (others) return others.catch(() => this.#bringOnce(name, blob, fetch, source))
    const fetching = this.#bring(name, partial, blob, fetch).finally(() => {
      this.#fetching.delete(partial)
      this.#expected.delete(partial)
    })
    this.#fetching.set(partial, fetching)
    return fetching
  }

  async #bring(
    name: string,
    partialName: string,
    blob: Blob,
    fetch: (offset: number) => Readable,
  ): Promise<string> {
    const path = join(this.#folder, name)
    const found = await lookAt(path)
    if (found?.size === blob.size) {
      const now = new Date()
      await utimes(path, now, now)
      return path
    }
    await mkdir(this.#folder, { recursive: true })
    this.#expected.set(partialName, blob.size)
    await this.#evict()
    const partial = join(this.#folder, partialName)
    const before = (await lookAt(partial))?.size ?? 0
    const offset = before <= blob.size ? before : 0
    const isRight = await receive(partial, blob, offset, fetch)
    // What was left of an earlier attempt may have been wrong.
    if (!isRight && !(offset > 0 && (await receive(partial, blob, 0, fetch)))) {
      await rm(partial, { force: true })
      throw new SourceError(`the registry sent other bytes than those of digest ${blob.digest}`)
    }
    await rename(partial, path)
    return path
  }

  /** Removes what was not used for the longest time until there is room for all that is being fetched. */
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
      if (this.#held.has(blobOf(name))) continue
      await rm(join(this.#folder, name), { recursive: true, force: true })
      total -= size
    }
  }
}

/** The file of that name. A link, or anything else that is none, makes room for one. */
async function lookAt(path: string) {
  const found = await lstat(path).catch(() => undefined)
  if (!found || found.isFile()) return found
  await rm(path, { recursive: true, force: true })
  return undefined
}

/** Writes the rest of a blob behind what is there; whether all of it is what the digest says. */
async function receive(
  path: string,
  { digest, size }: Blob,
  offset: number,
  fetch: (offset: number) => Readable,
): Promise<boolean> {
  const hash = createHash('sha256')
  const { O_RDWR, O_CREAT, O_APPEND, O_TRUNC } = constants
  const flags = O_RDWR | O_CREAT | O_APPEND | (offset > 0 ? 0 : O_TRUNC)
  const { handle } = await openRegular(path, flags, 0o600)
  try {
    if (offset > 0) await addPart(hash, handle, offset)
    let position = offset
    const source = fetch(offset)
    for await (const chunk of source as AsyncIterable<Buffer>) {
      if (position + chunk.length > size) return false
      hash.update(chunk)
      await handle.appendFile(chunk)
      position += chunk.length
    }
    if (position < size) return false
    await handle.datasync()
  } finally {
    await handle.close()
  }
  return `sha256:${hash.digest('hex')}` === digest
}

async function addPart(hash: Hash, handle: FileHandle, size: number) {
  const part = handle.createReadStream({ start: 0, end: size - 1, autoClose: false })
  for await (const chunk of part) hash.update(chunk as Buffer)
}
