import { constants } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { storageIsDown } from '../../images/errors.ts'
import type { StoredFile } from '../../images/image.ts'
import type { Files, OpenFile, ReceivedFile, ReceiveOptions } from '../../images/ports.ts'
import { linkRegular, NotRegularError, openRegular } from '../../util/regular-file.ts'
import { Hasher } from './hasher.ts'
import { filePath, type Layout, partialPath, temporaryPath } from './layout.ts'
import { Md5s } from './md5s.ts'
import { TransferMemory } from './memory.ts'
import { HEAD, type Received, receiveInto } from './receive.ts'
import { LocalReceivedFile } from './received-file.ts'

const LARGEST_PIECE = 1024 * 1024

/** Stores the files of each image in its folder, next to the manifest. */
export class LocalFiles implements Files {
  readonly #layout: Layout
  readonly #hasher = new Hasher()
  /** Shared by uploads and downloads. */
  readonly #memory = new TransferMemory(LARGEST_PIECE)
  readonly #md5s: Md5s

  /** Whether a manifest names a file of an image, or may name it. */
  readonly #isNamed: (uuid: string, name: string) => boolean

  constructor(layout: Layout, isNamed: (uuid: string, name: string) => boolean) {
    this.#layout = layout
    this.#isNamed = isNamed
    this.#md5s = new Md5s(layout, () => this.#memory.isIdle)
  }

  async receive(source: Readable, options: ReceiveOptions): Promise<ReceivedFile> {
    // The source may fail before the file is open; `receiveInto` detects that later.
    source.on('error', () => {})
    const path = temporaryPath(this.#layout)
    const handle = await open(path, 'wx+')
    try {
      return await this.#receiveInto(handle, path, source, options)
    } catch (error) {
      await rm(path, { force: true }).catch(() => {})
      throw error
    }
  }

  async resume(
    name: string,
    source: (offset: number) => Readable,
    options: ReceiveOptions,
  ): Promise<ReceivedFile> {
    const path = partialPath(this.#layout, name)
    const { handle, stats } = await openRegular(path, constants.O_RDWR | constants.O_CREAT)
    const start = await findStart(handle, stats.size, options).catch(async error => {
      await handle.close()
      throw error
    })
    return this.#receiveInto(handle, path, source(start), options, start)
  }

  async forget(name: string) {
    await rm(partialPath(this.#layout, name), { force: true })
  }

  async #receiveInto(
    handle: FileHandle,
    path: string,
    source: Readable,
    options: ReceiveOptions,
    kept?: number,
  ): Promise<ReceivedFile> {
    this.#memory.enter()
    try {
      const received = await receiveInto(handle, source, options, this.#memory, this.#hasher, kept)
      return this.#received(path, received)
    } finally {
      this.#memory.leave()
      await handle.close()
    }
  }

  async duplicate(uuid: string, file: StoredFile): Promise<ReceivedFile> {
    const path = temporaryPath(this.#layout)
    // Stored files never change in place, so two images can share one by a hard link.
    await linkRegular(filePath(this.#layout, uuid, file.name), path).catch(nameProblem(uuid, file))
    return this.#received(path, file)
  }

  #received(path: string, received: Received): ReceivedFile {
    return new LocalReceivedFile(path, received, {
      layout: this.#layout,
      scheduleMd5: (uuid, file) => this.#md5s.schedule(uuid, file),
      isNamed: this.#isNamed,
    })
  }

  async open(uuid: string, file: StoredFile): Promise<OpenFile> {
    const path = filePath(this.#layout, uuid, file.name)
    const { handle, stats } = await openRegular(path).catch(nameProblem(uuid, file))
    const { size } = file
    if (stats.size !== size) {
      await handle.close()
      throw storageIsDown(`the file ${file.name} of image ${uuid} has ${stats.size} bytes, not ${size}`)
    }
    this.#memory.enter()
    const buffers: Buffer[] = []
    return {
      size,
      chunks: (start, end) => readChunks(handle, start, end, this.#memory, buffers),
      close: async () => {
        this.#memory.leave()
        // Not before: the last chunks may still be being sent long after they were read.
        for (const buffer of buffers) this.#memory.release(buffer)
        await handle.close()
      },
    }
  }

  md5(uuid: string, file: StoredFile): Promise<string | undefined> {
    return this.#md5s.get(uuid, file)
  }

  /** Computes the md5 of a file without one in the background, before the first download needs it. */
  scheduleMd5(uuid: string, file: StoredFile) {
    this.#md5s.schedule(uuid, file)
  }

  async remove(uuid: string, { name }: StoredFile) {
    if (this.#isNamed(uuid, name)) return
    // A file that cannot be removed now is swept at the next start, since no manifest names it any more.
    await rm(filePath(this.#layout, uuid, name), { force: true }).catch(() => {})
  }

  async close() {
    await Promise.all([this.#hasher.close(), this.#md5s.close()])
  }
}

/** Returns how many bytes of an earlier attempt can be resumed from; truncates a file that is of no use. */
async function findStart(
  handle: FileHandle,
  size: number,
  { expectedSize = Number.POSITIVE_INFINITY }: ReceiveOptions,
) {
  if (size >= HEAD && size <= expectedSize) return size
  await handle.truncate(0)
  return 0
}

/** Turns a missing or irregular file into a StorageIsDown that names the file and its image. */
const nameProblem =
  (uuid: string, { name }: StoredFile) =>
  (error: NodeJS.ErrnoException) => {
    if (error instanceof NotRegularError)
      throw storageIsDown(`the file ${name} of image ${uuid} ${error.message}`)
    if (error.code !== 'ENOENT') throw error
    throw storageIsDown(`the file ${name} of image ${uuid} is missing`)
  }

/**
 * Reads one piece ahead, into three buffers in rotation: the consumer may use two of them while the third is filled.
 */
async function* readChunks(
  handle: FileHandle,
  start: number,
  end: number,
  memory: TransferMemory,
  buffers: Buffer[],
): AsyncGenerator<Buffer> {
  let position = start
  let turn = 0
  /** Returns the buffer that was used longest ago, or a new one if the size of pieces has changed. */
  const nextBuffer = (size: number) => {
    const index = turn++ % 3
    const last = buffers[index]
    if (last && (last.length === memory.pieceSize || size < memory.pieceSize)) return last
    if (last) memory.release(last)
    buffers[index] = memory.acquire(size)
    return buffers[index]
  }
  const readNext = async () => {
    const left = end + 1 - position
    if (left <= 0) return undefined
    const buffer = nextBuffer(Math.min(memory.pieceSize, left))
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, left), position)
    if (bytesRead === 0) throw storageIsDown('the file became shorter while it was being read')
    position += bytesRead
    return buffer.subarray(0, bytesRead)
  }
  let ahead: ReturnType<typeof readNext> | undefined
  try {
    ahead = readNext()
    for (let piece = await ahead; piece; piece = await ahead) {
      ahead = readNext()
      // The loop awaits it; this avoids an unhandled rejection if the consumer stops early.
      ahead.catch(() => {})
      yield piece
    }
  } finally {
    // The buffer can be reused only after the read under way has ended.
    await ahead?.catch(() => {})
  }
}
