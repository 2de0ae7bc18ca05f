import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { sniffCompression } from '../images/compression.ts'
import { ImgapiError } from '../images/errors.ts'
import type { Compression } from '../images/image.ts'
import type { Images } from '../images/images.ts'
import type { ReceivedFile } from '../images/ports.ts'
import { fetchOptions } from '../jobs/fetch-file.ts'
import type { Descriptor } from '../registry/manifest.ts'

export interface FetchedLayer {
  received: ReceivedFile
  compression: Compression
}

const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/**
 * Brings a layer into the file store and proves that it has its digest. `blob`: its bytes. Throws Download; of a
 * wrong layer nothing is kept.
 */
export async function fetchLayer(
  images: Images,
  { digest, size }: Descriptor,
  blob: Readable,
  onProgress: (bytes: number) => void,
): Promise<FetchedLayer> {
  const hash = createHash('sha256')
  let compression: Compression = 'none'
  let failure: unknown
  let current = 0
  async function* checked() {
    try {
      for await (const chunk of blob as AsyncIterable<Buffer>) {
        hash.update(chunk)
        current += chunk.length
        onProgress(current)
        yield chunk
      }
      const found = `sha256:${hash.digest('hex')}`
      if (found !== digest) throw download(`the registry sent a layer of digest ${found}, not ${digest}`)
    } catch (error) {
      failure = error
      throw error
    }
  }
  const inspect = (head: Buffer) => {
    // None of the programs that install images of type docker can unpack it.
    if (head.subarray(0, 4).equals(ZSTD)) {
      throw download(`layer ${digest} is compressed with zstd: push the image with gzip`)
    }
    compression = sniffCompression(head) ?? 'none'
  }
  try {
    const source = Readable.from(checked(), { objectMode: false })
    const received = await images.files.receive(source, fetchOptions(images, size, inspect))
    return { received, compression }
  } catch (error) {
    // What the store saw is a body that broke off; why it did is what the download says.
    const cause = failure ?? error
    if (cause instanceof ImgapiError && cause.code !== 'Upload') throw cause
    throw download((cause as Error).message, cause)
  } finally {
    blob.destroy()
  }
}

const download = (message: string, cause?: unknown) => new ImgapiError('Download', message, { cause })
