import { createHash, type Hash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { basename } from 'node:path'
import { download } from '../../sources/resumable.ts'
import type { RetryPolicy } from '../../sources/retry.ts'
import { END_OF_ARCHIVE, tarHeader, tarPadding } from '../../util/tar/tar-writer.ts'
import type { ImgapiClient } from '../client.ts'
import { renameDurably } from '../fetch-file.ts'
import type { RemoteImage } from '../types.ts'
import { BundleError } from './bundle-error.ts'
import {
  type BundledFile,
  type BundledImage,
  nameContents,
  README,
  readmeOf,
  SUMS,
  sumsOf,
} from './contents.ts'

export interface WriteOptions {
  path: string
  retry: RetryPolicy
  signal: AbortSignal
  /** Reports how many bytes of a file are written, including those of an earlier attempt. */
  onProgress(file: BundledFile, bytes: number): void
  onDone(file: BundledFile): void
  onRetry(error: Error): void
}

/**
 * Writes a bundle, one tar file, and returns its contents. Expects origins before the images based on them. The file is
 * `FILE.partial` until it is complete and synced; a second call resumes it. Throws BundleError for a file that differs
 * from its manifest, and SourceError.
 */
export async function writeBundle(
  client: ImgapiClient,
  manifests: readonly RemoteImage[],
  options: WriteOptions,
): Promise<BundledImage[]> {
  const { path } = options
  const images = nameContents(manifests)
  const head = headOf(images, client.url.href, basename(path))
  const partial = `${path}.partial`
  const handle = await open(partial, constants.O_RDWR | constants.O_CREAT, 0o644)
  try {
    let position = await writeHead(handle, head)
    for (const { manifest, files } of images) {
      const mtime = dateOf(manifest)
      for (const file of files) position = await writeEntry(client, handle, position, file, mtime, options)
    }
    await writeAll(handle, END_OF_ARCHIVE, position)
    await handle.truncate(position + END_OF_ARCHIVE.length)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await renameDurably(partial, path)
  return images
}

/** Returns the start of the bundle: the texts, and the manifests that an import needs before the first file. */
function headOf(images: readonly BundledImage[], source: string, file: string): Buffer {
  const texts = [
    { name: README, text: readmeOf(images, source, file) },
    { name: SUMS, text: sumsOf(images) },
    ...images.map(({ manifest, manifestName }) => ({
      name: manifestName,
      text: `${JSON.stringify(manifest, null, 2)}\n`,
    })),
  ]
  return Buffer.concat(
    texts.flatMap(({ name, text }) => {
      const content = Buffer.from(text)
      return [headerOf(name, content.length, 0), content, tarPadding(content.length)]
    }),
  )
}

const headerOf = (name: string, size: number, mtime: number) =>
  tarHeader({ name, type: 'file', linkname: '', mode: 0o644, size, mtime })

/** Returns seconds since 1970. */
function dateOf({ published_at }: RemoteImage): number {
  const time = Date.parse(published_at ?? '') || 0
  return Math.floor(Math.max(time, 0) / 1000)
}

/** Writes the start of the file, and truncates a file that starts otherwise. Resolves to the end of the head. */
async function writeHead(handle: FileHandle, head: Buffer): Promise<number> {
  const found = Buffer.alloc(head.length)
  await handle.read(found, 0, head.length, 0)
  if (!found.equals(head)) {
    await handle.truncate(0)
    await writeAll(handle, head, 0)
  }
  return head.length
}

/** Writes or resumes one entry. Resolves to the position of the next. Throws BundleError and SourceError. */
async function writeEntry(
  client: ImgapiClient,
  handle: FileHandle,
  position: number,
  file: BundledFile,
  mtime: number,
  options: WriteOptions,
): Promise<number> {
  const { name, size, sha1, uuid } = file
  const { size: length } = await handle.stat()
  const header = headerOf(name, size, mtime)
  const start = position + header.length
  const kept = Math.min(size, Math.max(0, length - start))
  await writeAll(handle, header, position)
  let found = await writeContent(client, handle, start, file, kept, options)
  // After a power loss the kept bytes may be wrong: fetch the file again, once.
  if (found !== sha1 && kept > 0) found = await writeContent(client, handle, start, file, 0, options)
  if (found !== sha1) {
    await handle.truncate(position)
    throw new BundleError(
      `the server sent a file of image ${uuid} with SHA-1 ${found}; the manifest says ${sha1}`,
    )
  }
  const padding = tarPadding(size)
  await writeAll(handle, padding, start + size)
  options.onDone(file)
  return start + size + padding.length
}

/** Fetches the bytes after the first `kept` ones. Resolves to the SHA-1 of the whole file. */
async function writeContent(
  client: ImgapiClient,
  handle: FileHandle,
  start: number,
  file: BundledFile,
  kept: number,
  { signal, retry, onProgress, onRetry }: WriteOptions,
): Promise<string> {
  const { uuid, index, size } = file
  const hash = createHash('sha1')
  await hashPrefix(hash, handle, start, kept, signal)
  onProgress(file, kept)
  const url = client.fileUrl(uuid, index)
  let at = kept
  const stream = download(client, url, {
    offset: kept,
    expectedSize: size,
    isVerified: true,
    signal,
    retry,
    onRetry,
  })
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (at + chunk.length > size) {
      throw new BundleError(
        `the server sent more than the ${size} bytes that the manifest of image ${uuid} states`,
      )
    }
    await writeAll(handle, chunk, start + at)
    hash.update(chunk)
    at += chunk.length
    onProgress(file, at)
  }
  return hash.digest('hex')
}

const PIECE = 1024 * 1024

async function hashPrefix(
  hash: Hash,
  handle: FileHandle,
  start: number,
  length: number,
  signal: AbortSignal,
) {
  const piece = Buffer.alloc(Math.min(PIECE, length))
  for (let at = 0; at < length; ) {
    signal.throwIfAborted()
    const { bytesRead } = await handle.read(piece, 0, Math.min(piece.length, length - at), start + at)
    if (bytesRead === 0) return
    hash.update(piece.subarray(0, bytesRead))
    at += bytesRead
  }
}

/** Repeats short writes until all bytes are written. */
async function writeAll(handle: FileHandle, bytes: Buffer, position: number) {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, written, bytes.length - written, position + written)
    written += bytesWritten
  }
}
