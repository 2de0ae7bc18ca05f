import { createHash } from 'node:crypto'
import { type BigIntStats, constants } from 'node:fs'
import { access, type FileHandle, open, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { commit as commitChange } from '../../storage/local/durable.ts'
import type { LocalSettings } from './imagemanager.ts'
import { FILE_MODE, mayReadFile, type Platform, partialName, type Reader } from './platform.ts'

/** Bytes that are copied at once. */
const PIECE = 1024 * 1024

/** A folder that this host can write to. */
export class LocalPlatform implements Platform {
  readonly #folder: string

  constructor({ local }: LocalSettings) {
    this.#folder = local.imageDir
  }

  async has(names: readonly string[]) {
    const found = await Promise.all(
      names.map(name =>
        access(this.#path(name)).then(
          () => true,
          () => false,
        ),
      ),
    )
    return found.every(Boolean)
  }

  async freeSpace() {
    const { bavail, bsize } = await statfs(this.#folder)
    return bavail * bsize
  }

  async deliver(path: string, name: string, signal: AbortSignal) {
    const partial = this.#path(partialName(name))
    await rm(partial, { force: true })
    if (!(await this.#move(path, partial))) {
      const source = await open(path)
      try {
        await copy(source, partial, () => {}, signal)
      } finally {
        await source.close()
      }
    }
    await this.#commit(partial, name)
  }

  async remove(names: readonly string[]) {
    await commitChange(this.#folder, async () => {
      for (const name of names) await rm(this.#path(name), { force: true })
    })
  }

  async copyIn(path: string, name: string, reader: Reader, signal: AbortSignal) {
    // Opening a FIFO would block until it has a writer.
    const source = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(error => {
      throw new Error(`cannot open the file: ${(error as NodeJS.ErrnoException).code}`)
    })
    try {
      const found = await source.stat({ bigint: true })
      if (!found.isFile()) throw new Error('not a regular file')
      const [uid, gid, mode] = [found.uid, found.gid, found.mode].map(Number) as [number, number, number]
      if (!mayReadFile({ uid, gid, mode }, reader)) throw new Error('you may not read the file')
      if (found.size > (await this.freeSpace())) throw new Error('not enough space for the file')
      const hash = createHash('sha256')
      const partial = this.#path(partialName(name))
      await rm(partial, { force: true })
      await copy(source, partial, piece => hash.update(piece), signal)
      return { id: hash.digest('hex'), version: versionOf(found) }
    } finally {
      await source.close()
    }
  }

  async versionOf(path: string) {
    const found = await stat(path, { bigint: true }).catch(() => undefined)
    return found?.isFile() ? versionOf(found) : undefined
  }

  async commit(name: string, finalName: string) {
    await this.#commit(this.#path(partialName(name)), finalName)
  }

  #path(name: string) {
    return join(this.#folder, name)
  }

  /** Moves the file if it is on the same disk. Resolves to whether it did. */
  async #move(path: string, partial: string): Promise<boolean> {
    const [from, to] = await Promise.all([stat(path), stat(this.#folder)])
    if (from.dev !== to.dev) return false
    await rename(path, partial)
    return true
  }

  async #commit(partial: string, name: string) {
    const prepare = async () => {
      const handle = await open(partial, 'r+')
      try {
        await handle.chmod(FILE_MODE)
        await handle.sync()
      } finally {
        await handle.close()
      }
    }
    await commitChange(this.#folder, () => rename(partial, this.#path(name)), prepare)
  }
}

const versionOf = ({ size, ino, mtimeNs, ctimeNs }: BigIntStats) => [size, ino, mtimeNs, ctimeNs].join(' ')

async function copy(
  source: FileHandle,
  target: string,
  onPiece: (piece: Buffer) => void,
  signal: AbortSignal,
) {
  const handle = await open(target, 'wx', FILE_MODE)
  try {
    const buffer = Buffer.alloc(PIECE)
    for (;;) {
      signal?.throwIfAborted()
      const { bytesRead } = await source.read(buffer, 0, PIECE, null)
      if (bytesRead === 0) break
      const piece = buffer.subarray(0, bytesRead)
      onPiece(piece)
      await handle.writeFile(piece)
    }
  } finally {
    await handle.close()
  }
}
