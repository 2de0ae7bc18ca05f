import { downloadFailed, remoteSourceError } from './errors.ts'
import { FIELDS } from './fields.ts'
import { attachImageFile, fileTooBig, orDiscard } from './files.ts'
import type { Image, ImageFile } from './image.ts'
import type { Images } from './images.ts'
import type { ReceivedFile } from './ports.ts'

/** A file that this server fetches, as the manifest of another server describes it. */
export type RemoteFile = Pick<ImageFile, 'sha1' | 'size' | 'compression' | 'dataset_guid'>

/**
 * Reads the files of another server's manifest. Throws RemoteSourceError if they are missing or not valid, and Download
 * if they are too large for this server.
 */
export function readRemoteFiles({ policy }: Images, manifest: Record<string, unknown>): RemoteFile[] {
  const { uuid, type, files } = manifest
  const refuse = (problem: string) => remoteSourceError(`image ${String(uuid)} ${problem} at the source`)
  const result = FIELDS.files.rule.safeParse(files)
  if (!result.success) throw refuse('has files that are not valid')
  if (result.data.length === 0) throw refuse('has no file')
  if (result.data.length > (type === 'lxd' ? 2 : 1)) throw refuse('has too many files')
  const limit = policy.maxImageSize ?? Number.POSITIVE_INFINITY
  const large = result.data.find(({ size }) => size > limit)
  if (large) throw downloadFailed(fileTooBig(`size ${large.size}`, limit))
  return result.data
}

/** Adds a fetched and verified file to its image. Discards the file on an error. */
export function storeFetchedFile(
  images: Images,
  uuid: string,
  index: number,
  details: Omit<RemoteFile, 'sha1' | 'size'>,
  received: ReceivedFile,
): Promise<Image> {
  return orDiscard([{ received }], () => attachImageFile(images, uuid, received, index, details))
}
