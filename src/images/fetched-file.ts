import { EXTENSION } from './compression.ts'
import { ImgapiError } from './errors.ts'
import { FIELDS } from './fields.ts'
import { keepFile, withFile } from './files.ts'
import type { Image, ImageFile } from './image.ts'
import type { Images } from './images.ts'
import type { ReceivedFile } from './ports.ts'

/** Files that this server fetched by itself, described by a manifest of another server. */

export type RemoteFile = Pick<ImageFile, 'sha1' | 'size' | 'compression' | 'dataset_guid'>

/** The files that another server's manifest names. Throws RemoteSourceError if there are none to fetch. */
export function readRemoteFiles({ uuid, files }: Record<string, unknown>): RemoteFile[] {
  const result = FIELDS.files.rule.safeParse(files)
  if (result.success && result.data.length > 0) return result.data
  const problem = result.success ? 'has no file' : 'has files that cannot be understood'
  throw new ImgapiError('RemoteSourceError', `image ${String(uuid)} ${problem} at the source`)
}

/** Puts a fetched and verified file into its image. */
export function storeFetchedFile(
  images: Images,
  uuid: string,
  index: number,
  { compression, dataset_guid }: Omit<RemoteFile, 'sha1' | 'size'>,
  received: ReceivedFile,
): Promise<Image> {
  return keepFile(images, uuid, received, async () => {
    const kind = index === 0 ? 'image' : 'image1'
    const stored = await received.attach(uuid, kind, `.zfs${EXTENSION[compression]}`)
    const file: ImageFile = { ...stored, compression, ...(dataset_guid && { dataset_guid }) }
    return image => withFile(image, index, file)
  })
}
