import { isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import { importWithFiles } from '../../images/publish.ts'
import { operator } from '../../images/visibility.ts'
import type { FetchedFile } from './fetch-digested.ts'
import { lockImport } from './import-image.ts'

export interface NewImage {
  /** Its UUID is derived from the content of the image. */
  manifest: Record<string, unknown> & { uuid: string }
  files: readonly FetchedFile[]
  channel?: string | undefined
  signal: AbortSignal
}

/**
 * Creates an active image from stored files. Discards the files if the image exists already, and replaces an unfinished
 * one left by a crash. Throws ImgapiError, after discarding the files.
 */
export async function storeImage(images: Images, { manifest, files, channel, signal }: NewImage) {
  const { uuid } = manifest
  try {
    const release = await lockImport(images, uuid, signal)
    try {
      const here = await images.manifests.find(uuid)
      const isDone = here !== undefined && isActivated(here.image)
      // The UUID is derived from the content, so this is the same image, left unfinished by an earlier version's
      // crash.
      if (here && !isDone) await images.manifests.remove(uuid, here.revision)
      if (isDone) await discardFiles(files)
      else await importWithFiles(images, uuid, manifest, operator(channel), files)
    } finally {
      release()
    }
  } catch (error) {
    await discardFiles(files)
    throw error
  }
}

export const discardFiles = (files: Iterable<FetchedFile>) =>
  Promise.allSettled([...files].map(({ received }) => received.discard()))
