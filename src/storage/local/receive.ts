import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { ReceiveError, type ReceiveOptions } from '../../images/ports.ts'
import { writeFully } from '../../util/write-fully.ts'
import type { Algorithm, Follower, Hasher } from './hasher.ts'
import type { TransferMemory } from './memory.ts'

export interface Received {
  size: number
  sha1: string
  md5?: string | undefined
}

/** Bytes up to which a body is hashed in this thread: for so few, messages to the other one would take longer. */
const SMALL = 1024 * 1024
/** Bytes at the beginning of a file that are enough to detect every compression. */
export const HEAD = 8

/**
 * Writes a body to an open file in large batches, while the hashing thread follows, and syncs the file. Keeps at
 * most two batches in memory, one being written and one being collected; beyond that the sender waits. `kept`: bytes
 * that the file has already; then a failure keeps them and the bytes received after them. Throws ReceiveError.
 */
export async function receiveInto(
  handle: FileHandle,
  source: Readable,
  options: ReceiveOptions,
  memory: TransferMemory,
  hasher: Hasher,
  kept?: number,
): Promise<Received> {
  const writer = new UploadWriter(handle, source, options, memory, hasher, kept ?? 0)
  try {
    return await writer.run()
  } catch (error) {
    await writer.abandon(kept !== undefined)
    throw error
  }
}

class UploadWriter {
  readonly #handle: FileHandle
  readonly #source: Readable
  readonly #options: ReceiveOptions
  readonly #memory: TransferMemory
  readonly #hasher: Hasher
  #follower: Follower | undefined
  /** Received chunks that are not being written yet. */
  #batch: Buffer[] = []
  #batched = 0
  #size = 0
  #written = 0
  #writing: Promise<void> | undefined
  #inspected = false

  constructor(
    handle: FileHandle,
    source: Readable,
    options: ReceiveOptions,
    memory: TransferMemory,
    hasher: Hasher,
    start: number,
  ) {
    this.#handle = handle
    this.#source = source
    this.#options = options
    this.#memory = memory
    this.#hasher = hasher
    this.#size = start
    this.#written = start
  }

  async run(): Promise<Received> {
    if (this.#size > 0) await this.#inspectKept()
    await this.#arrival()
    this.#inspect(true)
    const { expectedSize } = this.#options
    if (expectedSize !== undefined && expectedSize !== this.#size) {
      throw new ReceiveError({ reason: 'wrong-size', size: this.#size, expectedSize })
    }
    const digests = this.#size <= SMALL ? this.#hashInMemory() : undefined
    await this.#writing
    await this.#writeBatch()
    const [sha1, md5] = digests ?? (await this.#hashInThread())
    await this.#handle.datasync()
    return { size: this.#size, sha1: sha1!, md5 }
  }

  /** Ends all use of the file. `keep`: writes what has been received first. */
  async abandon(keep: boolean) {
    await this.#writing?.catch(() => {})
    if (keep) await this.#writeBatch().catch(() => {})
    await this.#follower?.cancel()
  }

  /** Resolves when the last byte has arrived. */
  #arrival(): Promise<void> {
    const source = this.#source
    const { stallTimeout } = this.#options
    return new Promise((resolve, reject) => {
      const onStall = (after: number) => {
        // The source is paused because of the disk, so the sender is not stalled.
        if (source.isPaused()) return stalled?.refresh()
        return finish(new ReceiveError({ reason: 'stalled', size: this.#size, seconds: after / 1000 }))
      }
      const stalled: NodeJS.Timeout | undefined =
        stallTimeout === undefined ? undefined : setTimeout(onStall, stallTimeout, stallTimeout)
      const onData = (chunk: Buffer) => {
        stalled?.refresh()
        try {
          this.#append(chunk)
        } catch (error) {
          finish(error)
          return
        }
        if (this.#batched < this.#memory.pieceSize) return
        if (!this.#writing) this.#startWriting(finish)
        else {
          source.pause()
          // The time until the disk has caught up does not count as a stall.
          this.#writing.then(
            () => {
              stalled?.refresh()
              source.resume()
            },
            () => {},
          )
        }
      }
      const onEnd = () => finish()
      const onGone = () => finish(new ReceiveError({ reason: 'closed', size: this.#size }))
      const finish = (error?: unknown) => {
        clearTimeout(stalled)
        source.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone)
        // The caller drains or closes the rest of a refused body; further errors of the source do not matter.
        source.on('error', () => {})
        if (error === undefined) resolve()
        else {
          source.pause()
          reject(error)
        }
      }
      source.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone)
      if (source.destroyed && !source.readableEnded) onGone()
    })
  }

  #append(chunk: Buffer) {
    this.#size += chunk.length
    const { limit } = this.#options
    if (limit && this.#size > limit.size) {
      throw new ReceiveError({ reason: 'too-large', message: limit.message })
    }
    this.#batch.push(chunk)
    this.#batched += chunk.length
    this.#inspect(false)
  }

  #inspect(isComplete: boolean) {
    if (this.#inspected || (!isComplete && this.#size < HEAD)) return
    this.#inspected = true
    const chunks = this.#batch.length === 1 ? this.#batch[0]! : Buffer.concat(this.#batch)
    this.#options.inspect?.(chunks.subarray(0, HEAD))
  }

  /** Inspects the first bytes of a resumed body, which are in the file already. */
  async #inspectKept() {
    const { inspect } = this.#options
    this.#inspected = true
    if (inspect) inspect((await this.#handle.read(Buffer.alloc(HEAD), 0, HEAD, 0)).buffer)
  }

  #startWriting(onError: (error: unknown) => void) {
    this.#writing = this.#writeBatch()
      .catch(error => {
        onError(error)
        throw error
      })
      .finally(() => {
        this.#writing = undefined
      })
    this.#writing.catch(() => {})
  }

  async #writeBatch() {
    if (this.#batched === 0) return
    const batch = this.#batch
    const end = this.#written + this.#batched
    this.#batch = []
    this.#batched = 0
    await writeFully(this.#handle, batch, this.#written)
    this.#written = end
    if (end > SMALL || this.#follower) this.#follow().advance(end)
  }

  #algorithms(): Algorithm[] {
    return this.#options.md5 ? ['sha1', 'md5'] : ['sha1']
  }

  #follow(): Follower {
    this.#follower ??= this.#hasher.follow(this.#handle.fd, this.#algorithms())
    return this.#follower
  }

  /** Hashes the file in the hashing thread. */
  async #hashInThread(): Promise<string[]> {
    const follower = this.#follow()
    follower.advance(this.#written)
    const digests = await follower.finish()
    this.#follower = undefined
    return digests
  }

  /** Hashes a small body in memory, with its md5, which costs little then. Undefined if it has been written already. */
  #hashInMemory(): string[] | undefined {
    if (this.#written > 0 || this.#writing) return undefined
    return ['sha1', 'md5'].map(algorithm => {
      const hash = createHash(algorithm)
      for (const chunk of this.#batch) hash.update(chunk)
      return hash.digest('hex')
    })
  }
}
