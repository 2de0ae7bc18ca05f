import { alreadyExists } from '../../images/already-exists.ts'
import type { RemoteFile } from '../../images/fetched-file.ts'
import { isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import type { Release } from '../../images/ports.ts'
import { type ArrivedFile, completeImage, importWithFiles } from '../../images/publish.ts'
import type { HttpClient } from '../../sources/http-client.ts'
import type { ImgapiSource, Manifest } from '../../sources/imgapi-source.ts'
import type { DownloadOptions, RetryPolicy } from '../../sources/resumable.ts'
import { dropWhenFull, fetchFile, fetchOptions } from './fetch-file.ts'

/** Brings one image here: its files, each proved to be the right one, and then the image, whole. */

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
  /** Whether an unfinished image with that UUID is one that an earlier version of this server has begun. */
  isOurs?: boolean
  channel?: string | undefined
  signal: AbortSignal
  /** Called before the first byte is kept under that name: at a start, what is not on record is swept. */
  onPartial?(name: string): Promise<void>
  /** SourceFileInfo the bytes of all files that are here, and how many of them came now. */
  onProgress?(bytes: number, arrived: number): void
  onRetry?(error: Error): void
}

const lockName = (uuid: string) => `import ${uuid}`

/** The lock of the imports of an image: waits for another import to end. Rejects with the signal's reason. */
export const lockImport = ({ locks }: Images, uuid: string, signal: AbortSignal): Promise<Release> =>
  locks.acquire(lockName(uuid), signal)

/** The same without waiting: undefined if another import holds it. */
export const tryLockImport = ({ locks }: Images, uuid: string): Promise<Release | undefined> =>
  locks.tryAcquire(lockName(uuid))

/**
 * Two may want one image at a time: the second waits, and then finds it here. False if it was here already.
 * Throws ImageUuidAlreadyExists for an unfinished image that is not this import's own.
 */
export async function importImageFrom(
  tools: ImportContext,
  source: ImgapiSource,
  bringing: ImportOptions,
): Promise<boolean> {
  const { uuid, files, signal } = bringing
  const release = await lockImport(tools.images, uuid, signal)
  try {
    const names = files.map(file => partialName(uuid, file))
    return await dropWhenFull(tools.images, names, () => importLocked(tools, source, bringing))
  } finally {
    release()
  }
}

async function importLocked(
  { images, ...tools }: ImportContext,
  source: ImgapiSource,
  bringing: ImportOptions,
) {
  const { uuid, manifest, files, isOurs = false, channel, signal, onProgress } = bringing
  const here = await images.manifests.find(uuid)
  if (here && isActivated(here.image)) return false
  if (here && !isOurs) throw alreadyExists(uuid)
  const arrived: ArrivedFile[] = []
  let before = 0
  for (const [index, file] of files.entries()) {
    const start = before
    before += file.size
    const name = partialName(uuid, file)
    await bringing.onPartial?.(name)
    const received = await fetchFile(
      {
        ...tools,
        url: source.fileUrl(uuid, index),
        size: file.size,
        sha1: file.sha1,
        signal,
        onProgress: (bytes, arrived) => onProgress?.(start + bytes, arrived),
        onRetry: error => bringing.onRetry?.(error),
      },
      open => images.files.resume(name, open, fetchOptions(images, file.size)),
    )
    arrived.push({ ...file, received })
  }
  if (here) await completeImage(images, uuid, arrived)
  else await importWithFiles(images, uuid, manifest, { authenticated: true, channel }, arrived)
  return true
}

/** The same bytes asked for again, by whomever, go on where the last attempt ended. */
const partialName = (uuid: string, { sha1 }: RemoteFile) => `${uuid}-${sha1}`

/** Whose image what is kept under that name belongs to. */
export const uuidOfPartial = (name: string) => name.slice(0, 36)
