import type { Readable } from 'node:stream'
import { checkCompression, sniffCompression } from '../../images/compression.ts'
import { ImgapiError } from '../../images/errors.ts'
import type { RemoteFile } from '../../images/fetched-file.ts'
import { UUID } from '../../images/fields.ts'
import { checkDigests, lockUpload } from '../../images/files.ts'
import { type Compression, type Image, isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import { readManifest } from '../../images/intake.ts'
import { completeImage, importWithFiles } from '../../images/publish.ts'
import { asText } from '../../images/rules.ts'
import { fetchOptions } from '../jobs/fetch-file.ts'

/** Publishes one image of which all is here: its bytes first, and then the whole image with one write. */

export interface Source {
  manifest: unknown
  /** What the manifest says of the file; nothing if it says nothing. */
  file: RemoteFile | undefined
  channel: string | undefined
  open(): Promise<Readable>
}

export type Published = { image: Image; wasHere: boolean }

const OPERATOR = { authenticated: true }

/** Throws ImgapiError for whatever is wrong with it. */
export async function publishImage(images: Images, source: Source): Promise<Published> {
  const manifest = readManifest(source.manifest)
  const { uuid } = manifest
  if (typeof uuid !== 'string' || !UUID.test(uuid)) {
    throw new ImgapiError('ValidationFailed', 'the manifest has no "uuid"')
  }
  const release = await lockUpload(images, uuid)
  try {
    return await publishAlone(images, uuid, manifest, source)
  } finally {
    release()
  }
}

async function publishAlone(
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
  const received = await images.files.receive(await open(), fetchOptions(images, file?.size, inspect))
  try {
    checkDigests(received, file?.sha1, undefined)
    const here = (await images.manifests.find(uuid))?.image
    if (here && isActivated(here)) {
      if (here.files[0]?.sha1 !== received.sha1) {
        throw new ImgapiError(
          'ImageUuidAlreadyExists',
          `image ${uuid} is here already and ${here.state}, with another file: publish this one under another UUID`,
        )
      }
      await received.discard()
      return { image: here, wasHere: true }
    }
    // Somebody may have begun the image over HTTP; an unfinished one that differs is not ours to finish.
    if (here && !isBegunFrom(here, manifest)) {
      throw new ImgapiError(
        'ImageUuidAlreadyExists',
        `image ${uuid} is here already and ${here.state}, and it differs: delete it, and put this one here again`,
      )
    }
    const arrived = [{ received, compression: compression ?? 'none', dataset_guid: file?.dataset_guid }]
    const image = here
      ? await completeImage(images, uuid, arrived)
      : await importWithFiles(images, uuid, manifest, { ...OPERATOR, channel }, arrived)
    return { image, wasHere: false }
  } catch (error) {
    await received.discard()
    throw error
  }
}

const isBegunFrom = (image: Image, manifest: Record<string, unknown>) =>
  (['name', 'version', 'type', 'os'] as const).every(field => image[field] === asText(manifest[field]))
