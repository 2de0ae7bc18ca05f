import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { basename } from 'node:path'
import { download } from '../../sources/resumable.ts'
import type { RetryPolicy } from '../../sources/retry.ts'
import { fetchVerified, type VerifiedFetch } from '../../sources/verified-fetch.ts'
import { END_OF_ARCHIVE, tarHeader, tarPadding } from '../../util/tar/tar-writer.ts'
import { writeFully } from '../../util/write-fully.ts'
import type { ImgapiClient } from '../client.ts'
import { renameDurably } from '../rename-durably.ts'
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
    await writeFully(handle, [END_OF_ARCHIVE], position)
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
    await writeFully(handle, [head], 0)
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
  const { name, size } = file
  const header = headerOf(name, size, mtime)
  const start = position + header.length
  await writeFully(handle, [header], position)
  await fetchVerified({ handle, start }, fetchOf(client, file, options))
  const padding = tarPadding(size)
  await writeFully(handle, [padding], start + size)
  options.onDone(file)
  return start + size + padding.length
}

/** Describes the fetch of a file of an image. */
function fetchOf(client: ImgapiClient, file: BundledFile, options: WriteOptions): VerifiedFetch {
  const { uuid, index, size, sha1 } = file
  const { signal, retry, onProgress, onRetry } = options
  const url = client.fileUrl(uuid, index)
  return {
    algorithm: 'sha1',
    expected: { size, digest: sha1 },
    open: offset =>
      download(client, url, { offset, expectedSize: size, isVerified: true, signal, retry, onRetry }),
    mismatch: found =>
      new BundleError(
        found.size > size
          ? `the server sent more than the ${size} bytes that the manifest of image ${uuid} states`
          : `the server sent a file of image ${uuid} with SHA-1 ${found.digest}; the manifest says ${sha1}`,
      ),
    onProgress: bytes => onProgress(file, bytes),
    signal,
  }
}
