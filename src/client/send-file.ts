import { open } from 'node:fs/promises'
import { sniffCompression } from '../images/compression.ts'
import type { Compression } from '../images/image.ts'
import type { ImgapiClient } from './client.ts'
import { WrongFileError } from './fetch-file.ts'
import { hashFile, type Progress, readWithProgress } from './hash-file.ts'
import type { RemoteImage } from './types.ts'

/** Uploads a local file to an image on a server. */

export interface LocalFile {
  path: string
  size: number
  sha1: string
  /** Detected from its first bytes. */
  compression: Compression
}

interface Options {
  onProgress?: Progress | undefined
  signal?: AbortSignal | undefined
}

/** Reads the whole file. Resolves to its size, SHA-1 and compression. */
export async function inspectFile(path: string, options: Options = {}): Promise<LocalFile> {
  const { size, compression } = await describeFile(path)
  return { path, size, compression, sha1: await hashFile(path, options) }
}

/** Resolves to the size and compression of a file, from its first bytes. */
export async function describeFile(path: string): Promise<Omit<LocalFile, 'sha1'>> {
  const file = await open(path, 'r')
  try {
    const head = Buffer.alloc(6)
    const { bytesRead } = await file.read(head, 0, head.length, 0)
    const { size } = await file.stat()
    return { path, size, compression: sniffCompression(head.subarray(0, bytesRead)) }
  } finally {
    await file.close()
  }
}

/** Uploads the file. Throws ClientError, and WrongFileError if the server stored other bytes. */
export async function sendFile(
  client: ImgapiClient,
  uuid: string,
  { path, size, sha1, compression }: LocalFile,
  { onProgress = () => {}, index }: { onProgress?: Progress; index?: string | undefined } = {},
): Promise<RemoteImage> {
  const image = await client.addFile(uuid, readWithProgress(path, onProgress), {
    size,
    sha1,
    compression,
    index,
  })
  const stored = image.files?.[Number(index ?? 0)]
  if (stored?.sha1 === sha1 && Number(stored.size) === size) return image
  throw new WrongFileError(`${path}: the server stored other bytes than were sent`)
}
