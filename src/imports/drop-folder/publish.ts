import type { Readable } from 'node:stream'
import { checkCompression, sniffCompression } from '../../images/compression.ts'
import { imageUuidAlreadyExists, invalidData } from '../../images/errors.ts'
import type { RemoteFile } from '../../images/fetched-file.ts'
import { UUID } from '../../images/fields.ts'
import { checkDigests, lockUpload, orDiscard } from '../../images/files.ts'
import { type Compression, type Image, isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import { readManifest } from '../../images/intake.ts'
import { completeImage, importWithFiles } from '../../images/publish.ts'
import { asText } from '../../images/rules.ts'
import { operator } from '../../images/visibility.ts'
import { downloadError } from '../jobs/download-error.ts'
import { fetchOptions } from '../jobs/fetch-file.ts'

/** Publishes one complete image: stores its bytes first, then creates the whole image with one write. */

export interface Source {
  manifest: unknown
  /** Size and digest as the manifest declares them; undefined if it does not. */
  file: RemoteFile | undefined
  channel: string | undefined
  open(): Promise<Readable>
}

/** `wasHere`: the image existed already, with the same file. */
export type Published = { image: Image; wasHere: boolean }

/**
 * Publishes an image, or returns the existing one if its file is the same. Throws ImgapiError if the manifest or the
 * file is invalid, or if another image has the UUID.
 */
export async function publishImage(images: Images, source: Source): Promise<Published> {
  const manifest = readManifest(source.manifest)
  const { uuid } = manifest
  if (typeof uuid !== 'string' || !UUID.test(uuid)) {
    throw invalidData('the manifest has no "uuid"')
  }
  const release = await lockUpload(images, uuid)
  try {
    return await publishLocked(images, uuid, manifest, source)
  } finally {
    release()
  }
}

async function publishLocked(
  images: Images,
  uuid: string,
  manifest: Record<string, unknown>,
  { file, channel, open }: Source,
): Promise<Published> {
  let compression: Compression | undefined = file?.compression
  const inspect = (head: Buffer) => {
    checkCompression(file?.compression, head)
    compression ??= sniffCompression(head)
  }
  const options = fetchOptions(images, file?.size, inspect)
  const received = await images.files.receive(await open(), options).catch(error => {
    throw downloadError(error)
  })
  return orDiscard([{ received }], async () => {
    checkDigests(received, file?.sha1, undefined)
    const here = (await images.manifests.find(uuid))?.image
    if (here && isActivated(here)) {
      if (here.files[0]?.sha1 !== received.sha1) {
        throw imageUuidAlreadyExists(
          `image ${uuid} is here already and ${here.state}, with another file: publish this one under another UUID`,
        )
      }
      await received.discard()
      return { image: here, wasHere: true }
    }
    // A client may have created the image over HTTP; complete it only if it is the same image.
    if (here && !isSameImage(here, manifest)) {
      throw imageUuidAlreadyExists(
        `image ${uuid} is here already and ${here.state}, and it differs: delete it, and put this one here again`,
      )
    }
    const arrived = [{ received, compression: compression ?? 'none', dataset_guid: file?.dataset_guid }]
    const image = here
      ? await completeImage(images, uuid, arrived)
      : await importWithFiles(images, uuid, manifest, operator(channel), arrived)
    return { image, wasHere: false }
  })
}

const isSameImage = (image: Image, manifest: Record<string, unknown>) =>
  (['name', 'version', 'type', 'os'] as const).every(field => image[field] === asText(manifest[field]))
