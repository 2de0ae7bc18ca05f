import { isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import { importWithFiles } from '../../images/publish.ts'
import type { FetchedFile } from './fetch-digested.ts'
import { lockImport } from './import-image.ts'

export interface NewImage {
  /** With a UUID that follows from the content of the image. */
  manifest: Record<string, unknown> & { uuid: string }
  files: readonly FetchedFile[]
  channel?: string | undefined
  signal: AbortSignal
}

/**
 * Makes an active image of files that are here. If it is active already, the files are dropped; what a crash left
 * of it is replaced. Throws ImgapiError, and then neither files nor image stay.
 */
export async function storeImage(images: Images, { manifest, files, channel, signal }: NewImage) {
  const { uuid } = manifest
  try {
    const release = await lockImport(images, uuid, signal)
    try {
      const here = await images.manifests.find(uuid)
      const isDone = here !== undefined && isActivated(here.image)
      // Its UUID says what it is: begun by an earlier version of this server, which a crash ended.
      if (here && !isDone) await images.manifests.remove(uuid, here.revision)
      if (isDone) await discardFiles(files)
      else await importWithFiles(images, uuid, manifest, { authenticated: true, channel }, files)
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
