import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import * as zlib from 'node:zlib'
import { Decompress } from 'fzstd'
import { TarError } from './tar-error.ts'

/** Layers are tar archives, plain or compressed; their first bytes tell, whatever the manifest says. */

const PIECE = 256 * 1024
const ZSTD_PIECE = 1024
/** Bytes that come of zstd between two looks at what it keeps. */
const CHECKED_EVERY = 16 * 1024 ** 2
/** A window of 128 MiB, and what is on its way. */
const MOST_BUFFERS = 256 * 1024 ** 2
const GZIP = Buffer.from([0x1f, 0x8b])
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/** The bytes of the archive in a file. */
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

/** Node knows zstd from version 22.15 on, and refuses windows of more than 128 MiB. */
async function* unzstd(file: NodeJS.ReadableStream): AsyncGenerator<Buffer> {
  const native = (zlib as Zstd).createZstdDecompress
  if (native) {
    yield* through(file, native({ chunkSize: PIECE }))
    return
  }
  const ready: Buffer[] = []
  let unchecked = 0
  const decompress = new Decompress(chunk => {
    ready.push(Buffer.from(chunk))
    unchecked += chunk.length
  })
  for await (const chunk of file as AsyncIterable<Buffer>) {
    // Zeros shrink a thousandfold and more: what comes of one push must fit into memory.
    for (let at = 0; at < chunk.length; at += ZSTD_PIECE) {
      decompress.push(chunk.subarray(at, at + ZSTD_PIECE))
      yield* ready.splice(0)
      if (unchecked < CHECKED_EVERY) continue
      unchecked = 0
      checkWindow()
    }
  }
  decompress.push(new Uint8Array(0), true)
  yield* ready.splice(0)
}

/** A frame says how much of what came of it must be kept; that takes memory as it fills. Throws TarError. */
function checkWindow() {
  if (process.memoryUsage().arrayBuffers > MOST_BUFFERS) {
    throw new TarError('a layer is compressed with zstd in a way that takes more than 128 MiB of memory')
  }
}
