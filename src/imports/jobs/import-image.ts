import { alreadyExists } from '../../images/already-exists.ts'
import type { RemoteFile } from '../../images/fetched-file.ts'
import { isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import type { Release } from '../../images/ports.ts'
import { type ArrivedFile, completeImage, importWithFiles } from '../../images/publish.ts'
import { operator } from '../../images/visibility.ts'
import type { HttpClient } from '../../sources/http-client.ts'
import type { Manifest } from '../../sources/imgapi/reader.ts'
import type { ImgapiSource } from '../../sources/imgapi/source.ts'
import type { DownloadOptions } from '../../sources/resumable.ts'
import type { RetryPolicy } from '../../sources/retry.ts'
import { dropWhenFull, fetchFile, fetchOptions } from './fetch-file.ts'

/** Imports one image: fetches and verifies its files first, so that the image appears complete. */

export interface ImportContext {
  images: Images
  client: HttpClient
  retry: RetryPolicy
  throttle?: DownloadOptions['throttle']
}

export interface ImportOptions {
  uuid: string
  manifest: Manifest
  files: readonly RemoteFile[]
  /**
   * Whether an unfinished image with that UUID was created by an earlier version of this server for this import.
   */
  isOurs?: boolean
  channel?: string | undefined
  signal: AbortSignal
  /**
   * Called before the first byte is stored under that name: at startup, partial files without a record are
   * removed.
   */
  onPartial?(name: string): Promise<void>
  /** Called with the bytes received of all files so far, and the bytes of this piece. */
  onProgress?(bytes: number, arrived: number): void
  onRetry?(error: Error): void
}

const lockName = (uuid: string) => `import ${uuid}`

/** Locks the image for an import; waits while another import holds the lock. Rejects with the signal's reason. */
export const lockImport = ({ locks }: Images, uuid: string, signal: AbortSignal): Promise<Release> =>
  locks.acquire(lockName(uuid), signal)

/**
 * Tries to lock the image for an import. Returns the function that releases the lock, or undefined if another import
 * holds it.
 */
export const tryLockImport = ({ locks }: Images, uuid: string): Promise<Release | undefined> =>
  locks.tryAcquire(lockName(uuid))

/**
 * Imports an image unless it exists. A concurrent import of the same image waits for the first one. Returns false if
 * the image existed already. Throws ImageUuidAlreadyExists if the UUID is that of an
 * unfinished image that this import did not create.
 */
export async function importImageFrom(
  context: ImportContext,
  source: ImgapiSource,
  options: ImportOptions,
): Promise<boolean> {
  const { uuid, files, signal } = options
  const release = await lockImport(context.images, uuid, signal)
  try {
    const names = files.map(file => partialName(uuid, file))
    return await dropWhenFull(context.images, names, () => importLocked(context, source, options))
  } finally {
    release()
  }
}

async function importLocked(
  { images, ...context }: ImportContext,
  source: ImgapiSource,
  options: ImportOptions,
) {
  const { uuid, manifest, files, isOurs = false, channel, signal, onProgress } = options
  const here = await images.manifests.find(uuid)
  if (here && isActivated(here.image)) return false
  if (here && !isOurs) throw alreadyExists(uuid)
  const arrived: ArrivedFile[] = []
  let before = 0
  for (const [index, file] of files.entries()) {
    const start = before
    before += file.size
    const name = partialName(uuid, file)
    await options.onPartial?.(name)
    const received = await fetchFile(
      {
        ...context,
        url: source.fileUrl(uuid, index),
        size: file.size,
        sha1: file.sha1,
        signal,
        onProgress: (bytes, arrived) => onProgress?.(start + bytes, arrived),
        onRetry: error => options.onRetry?.(error),
      },
      open => images.files.resume(name, open, fetchOptions(images, file.size)),
    )
    arrived.push({ ...file, received })
  }
  if (here) await completeImage(images, uuid, arrived)
  else await importWithFiles(images, uuid, manifest, operator(channel), arrived)
  return true
}

/**
 * Returns the name of a partial file. Every import of the same bytes uses the same name and so resumes from it.
 */
const partialName = (uuid: string, { sha1 }: RemoteFile) => `${uuid}-${sha1}`

/** Returns the UUID of the image to which the partial file of that name belongs. */
export const uuidOfPartial = (name: string) => name.slice(0, 36)
