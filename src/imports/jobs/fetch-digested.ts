import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { sniffCompression } from '../../images/compression.ts'
import { downloadFailed, ImgapiError } from '../../images/errors.ts'
import { fileTooBig } from '../../images/files.ts'
import type { Compression } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import type { ReceivedFile } from '../../images/ports.ts'
import { downloadError } from './download-error.ts'
import { fetchOptions } from './fetch-file.ts'

/** Fetches files from other kinds of image servers, which identify a file by its SHA-256. */

export interface DigestedFile {
  /** For messages. */
  label: string
  /** `sha256:...`; without it, the caller verifies the bytes. */
  digest?: string
  size: number
  /** Whether `size` is only an upper limit. */
  isSizeLimit?: boolean | undefined
}

export interface FetchedFile {
  received: ReceivedFile
  compression: Compression
  /** SHA-256, lower-case hex. */
  sha256: string
}

export interface FetchOptions {
  /** Called with the first bytes; throws to reject the file. */
  inspect?(head: Buffer): void
  onChunk?(chunk: Buffer): void
  /** Called after every half mebibyte, and at the end. `start`: when it began, in seconds of the epoch. */
  onProgress(progress: { current: number; total: number; start: number }): void
}

/** Bytes between two reports of progress. */
const PROGRESS_STEP = 512 * 1024

/** Throws Download if the file is larger than this server accepts. */
export function checkFileSize({ policy }: Images, { label, size }: Pick<DigestedFile, 'label' | 'size'>) {
  const limit = policy.maxImageSize ?? Number.POSITIVE_INFINITY
  if (size > limit) throw downloadFailed(`${label}: ${fileTooBig(`size ${size}`, limit)}`)
}

/**
 * Stores a file and verifies its digest. `source`: its bytes. Throws Download; a file that does not verify is
 * discarded.
 */
export async function fetchDigested(
  images: Images,
  file: DigestedFile,
  source: Readable,
  { inspect, onChunk, onProgress }: FetchOptions,
): Promise<FetchedFile> {
  const { label, digest, size, isSizeLimit = false } = file
  const hash = createHash('sha256')
  const start = Math.floor(images.now().getTime() / 1000)
  let compression: Compression = 'none'
  let sha256 = ''
  let failure: unknown
  let current = 0
  let reported = 0
  async function* checked() {
    try {
      for await (const chunk of source as AsyncIterable<Buffer>) {
        current += chunk.length
        if (current > size) throw downloadFailed(`${label}: more than its ${size} bytes were sent`)
        hash.update(chunk)
        onChunk?.(chunk)
        if (current - reported >= PROGRESS_STEP) report(size)
        yield chunk
      }
      if (current > reported) report(isSizeLimit ? current : size)
      sha256 = hash.digest('hex')
      const found = `sha256:${sha256}`
      if (digest !== undefined && found !== digest)
        throw downloadFailed(`${label}: the bytes received have the digest ${found}, not ${digest}`)
    } catch (error) {
      failure = error
      throw error
    }
  }
  const report = (total: number) => {
    reported = current
    onProgress({ current, total, start })
  }
  const onHead = (head: Buffer) => {
    inspect?.(head)
    compression = sniffCompression(head)
  }
  try {
    if (!isSizeLimit) checkFileSize(images, file)
    const body = Readable.from(checked(), { objectMode: false })
    const received = await images.files.receive(
      body,
      fetchOptions(images, isSizeLimit ? undefined : size, onHead),
    )
    return { received, compression, sha256 }
  } catch (error) {
    // The store only knows that the body ended early; the download knows why.
    const cause = downloadError(failure ?? error)
    if (cause instanceof ImgapiError) throw cause
    throw downloadFailed((cause as Error).message, cause)
  } finally {
    source.destroy()
  }
}
