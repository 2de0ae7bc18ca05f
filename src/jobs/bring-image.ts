import { setTimeout as sleep } from 'node:timers/promises'
import { alreadyExists } from '../images/create.ts'
import type { RemoteFile } from '../images/fetched-file.ts'
import { isActivated } from '../images/image.ts'
import type { Images } from '../images/images.ts'
import { type ArrivedFile, completeImage, importWithFiles } from '../images/publish.ts'
import type { HttpClient } from '../sources/http-client.ts'
import type { ImgapiSource, Manifest } from '../sources/imgapi-source.ts'
import type { DownloadOptions, RetryPolicy } from '../sources/resumable.ts'
import { fetchFile, fetchOptions } from './fetch-file.ts'

/** Brings one image here: its files, each proved to be the right one, and then the image, whole. */

export interface ImportTools {
  images: Images
  client: HttpClient
  retry: RetryPolicy
  throttle?: DownloadOptions['throttle']
}

export interface Bringing {
  uuid: string
  manifest: Manifest
  files: readonly RemoteFile[]
  /** Whether an unfinished image with that UUID is our own, to be finished. */
  isOurs: boolean
  channel?: string | undefined
  signal: AbortSignal
  /** Called before the first byte is kept under that name: at a start, what is not on record is swept. */
  onPartial?(name: string): Promise<void>
  /** Told the bytes of all files that are here, and how many of them came now. */
  onProgress?(bytes: number, arrived: number): void
  onRetry?(error: Error): void
}

/** Who imports an image holds this, and lets go with the function. Undefined if somebody else does. */
export const beginImport = ({ locks }: Images, uuid: string) => locks.tryAcquire(`import ${uuid}`)

/**
 * Two may want one image at a time: the second waits, and then finds it here. False if it was here already.
 * Throws ImageUuidAlreadyExists for an unfinished image of somebody else.
 */
export async function bringImage(
  tools: ImportTools,
  source: ImgapiSource,
  bringing: Bringing,
): Promise<boolean> {
  const release = await holdImport(tools.images, bringing.uuid, bringing.signal)
  try {
    return await bringAlone(tools, source, bringing)
  } finally {
    release()
  }
}

/** The same as `beginImport`, but waits for whoever holds it. */
export async function holdImport(images: Images, uuid: string, signal: AbortSignal): Promise<() => void> {
  for (;;) {
    const release = await beginImport(images, uuid)
    if (release) return release
    await sleep(200, undefined, { signal })
  }
}

async function bringAlone({ images, ...tools }: ImportTools, source: ImgapiSource, bringing: Bringing) {
  const { uuid, manifest, files, isOurs, channel, signal, onProgress } = bringing
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
