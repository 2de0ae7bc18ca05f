import { open } from 'node:fs/promises'
import { sniffCompression } from '../images/compression.ts'
import type { Compression } from '../images/image.ts'
import type { ImgapiClient } from './client.ts'
import { WrongFileError } from './fetch-file.ts'
import { hashFile, type Progress, readWithProgress } from './hash-file.ts'
import type { RemoteImage } from './types.ts'

/** An image's file on its way to a server. */

export interface LocalFile {
  path: string
  size: number
  sha1: string
  /** As its first bytes say. */
  compression: Compression
}

interface Options {
  onProgress?: Progress | undefined
  signal?: AbortSignal | undefined
}

/** Reads the file once, for its size, digest and compression. */
export async function inspectFile(path: string, options: Options = {}): Promise<LocalFile> {
  const { size, compression } = await lookAt(path)
  return { path, size, compression, sha1: await hashFile(path, options) }
}

/** What can be said of a file without reading all of it. */
export async function lookAt(path: string): Promise<Omit<LocalFile, 'sha1'>> {
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

/** Throws ClientError, or WrongFileError if the server then has something else. */
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
  throw new WrongFileError(`${path}: the server has stored something else than was sent`)
}
