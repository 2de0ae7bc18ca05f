import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { Transform } from 'node:stream'

export type Progress = (bytes: number) => void

interface HashOptions {
  onProgress?: Progress | undefined
  signal?: AbortSignal | undefined
}

/** Resolves to the SHA-1 of a file in lower-case hex. */
export async function hashFile(path: string, { onProgress, signal }: HashOptions = {}): Promise<string> {
  const hash = createHash('sha1')
  let bytes = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024, signal })) {
    hash.update(chunk)
    bytes += chunk.length
    onProgress?.(bytes)
  }
  return hash.digest('hex')
}

/** Returns a stream of the file that reports the bytes read so far. */
export function readWithProgress(path: string, onProgress: Progress) {
  let bytes = 0
  const counter = new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk, _encoding, done) {
      bytes += chunk.length
      onProgress(bytes)
      done(null, chunk)
    },
  })
  const source = createReadStream(path, { highWaterMark: 1024 * 1024 })
  source.on('error', error => counter.destroy(error))
  counter.on('close', () => source.destroy())
  return source.pipe(counter)
}
