import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import * as zlib from 'node:zlib'
import { Decompress } from 'fzstd'
import { TarError } from '../util/tar/tar-error.ts'
import { ZstdFrames } from './zstd-frames.ts'

/**
 * Layers are tar archives, plain or compressed. The compression is detected by the first bytes, because the media type
 * in a manifest may be wrong.
 */

const PIECE = 256 * 1024
const ZSTD_PIECE = 1024
const GZIP = Buffer.from([0x1f, 0x8b])
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/** Reads the file of a layer and yields the uncompressed archive. Throws TarError for unreadable zstd. */
export async function* readLayer(path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  const start = await firstBytes(path)
  const file = createReadStream(path, { highWaterMark: PIECE, signal })
  if (start.subarray(0, 2).equals(GZIP)) yield* through(file, zlib.createGunzip({ chunkSize: PIECE }))
  else if (start.equals(ZSTD)) yield* unzstd(file)
  else yield* file as AsyncIterable<Buffer>
}

async function firstBytes(path: string): Promise<Buffer> {
  const handle = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

async function* through(file: NodeJS.ReadableStream, transform: zlib.Gunzip): AsyncGenerator<Buffer> {
  file.on('error', error => transform.destroy(error))
  file.pipe(transform)
  try {
    yield* transform as AsyncIterable<Buffer>
  } finally {
    transform.destroy()
    ;(file as NodeJS.ReadableStream & { destroy(): void }).destroy()
  }
}

type Zstd = { createZstdDecompress?(options: { chunkSize: number }): zlib.Gunzip }

/** Uses Node's own zstd where it exists (from version 22.15 on), which limits the window size itself. */
async function* unzstd(file: NodeJS.ReadableStream): AsyncGenerator<Buffer> {
  const native = (zlib as Zstd).createZstdDecompress
  if (native) {
    yield* through(file, native({ chunkSize: PIECE }))
    return
  }
  const ready: Buffer[] = []
  const decompress = new Decompress(chunk => ready.push(Buffer.from(chunk)))
  const frames = new ZstdFrames()
  for await (const chunk of file as AsyncIterable<Buffer>) {
    frames.check(chunk)
    // Zeros compress a thousandfold and more: push small pieces, so that the output of each fits into memory.
    for (let at = 0; at < chunk.length; at += ZSTD_PIECE) {
      unpack(decompress, chunk.subarray(at, at + ZSTD_PIECE))
      yield* ready.splice(0)
    }
  }
  unpack(decompress, new Uint8Array(0), true)
  yield* ready.splice(0)
}

/** Throws TarError. */
function unpack(decompress: Decompress, bytes: Uint8Array, isLast = false) {
  try {
    decompress.push(bytes, isLast)
  } catch (error) {
    throw new TarError(`a layer that is compressed with zstd cannot be read: ${(error as Error).message}`)
  }
}
