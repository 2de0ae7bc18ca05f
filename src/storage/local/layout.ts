import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { storageIsDown } from '../../images/errors.ts'

/**
 * The paths in a data directory:
 *
 *     <datadir>/<uuid>/manifest.json         the manifest, our bookkeeping under its key `_imgapi`
 *     <datadir>/<uuid>/image-1f00c3d9.zfs.gz the image file (`image.gz` if the predecessor stored it)
 *     <datadir>/<uuid>/icon-77ab01f2.png     the icon
 *     <datadir>/.tmp/                        uploads under way, folders being created or deleted; emptied at start
 *     <datadir>/.cache/<uuid>.json           what can be computed again: the md5 of files stored without one
 *     <datadir>/.jobs/<uuid>.json            records of imports, and `<name>.partial`, the bytes received so far
 *     <datadir>/.mirrors/<source>.json       the record of each mirrored source, created by the first run
 *     <datadir>/.lock/                       the sockets by which servers detect each other
 *     <datadir>/etc/authkeys/local/          SSH keys of users, `<user>.keys`, from the operator
 *     <datadir>/incoming/                    images to publish, if the operator created it
 */
export interface Layout {
  root: string
  tmp: string
  cache: string
  jobs: string
  mirrors: string
  lock: string
}

export const layoutOf = (root: string): Layout => ({
  root,
  tmp: join(root, '.tmp'),
  cache: join(root, '.cache'),
  jobs: join(root, '.jobs'),
  mirrors: join(root, '.mirrors'),
  lock: join(root, '.lock'),
})

export const keyFolder = (root: string) => join(root, 'etc', 'authkeys', 'local')
export const incomingFolder = (root: string) => join(root, 'incoming')

/** Folders in a data directory that belong to the operator. */
export const OPERATORS_FOLDERS = new Set(['etc', 'incoming'])

export const folderOf = ({ root }: Layout, uuid: string) => join(root, uuid)
export const manifestPath = ({ root }: Layout, uuid: string) => join(root, uuid, MANIFEST)
export const jobPath = ({ jobs }: Layout, uuid: string) => join(jobs, `${uuid}.json`)
export const mirrorPath = ({ mirrors }: Layout, name: string) => join(mirrors, `${name}.json`)
export const partialPath = ({ jobs }: Layout, name: string) => join(jobs, `${name}.partial`)
export const cachePath = ({ cache }: Layout, uuid: string) => join(cache, `${uuid}.json`)

export const MANIFEST = 'manifest.json'

/** Returns whether a record may use this name for a file: one in the image's own folder, other than the manifest. */
export const isStoredName = (name: unknown): name is string =>
  typeof name === 'string' &&
  /^[^/\0]{1,255}$/.test(name) &&
  !['.', '..', MANIFEST].includes(name.toLowerCase())

/** Returns the path of an image's file. Throws StorageIsDown for a name outside the image's folder. */
export function filePath({ root }: Layout, uuid: string, name: string): string {
  if (isStoredName(name)) return join(root, uuid, name)
  throw storageIsDown(`image ${uuid} cannot have a file named ${JSON.stringify(name)}`)
}

const unique = () => randomBytes(4).toString('hex')

/** Returns a new path in `.tmp`. */
export const temporaryPath = ({ tmp }: Layout) => join(tmp, `${unique()}${unique()}`)

/** Returns the path of a staged file, whose image has no folder yet. */
export const stagedPath = ({ tmp }: Layout, uuid: string, name: string) => join(tmp, `${uuid}.${name}`)

/** Generates a name for a stored file that no manifest uses. */
export const freshName = (kind: string, extension: string) => `${kind}-${unique()}${extension}`

/** Returns whether `freshName` generated the name: only such files may be swept. */
export const isOurName = (name: string) => /^(image|image1|icon)-[0-9a-f]{8}(\.[a-z0-9]+)*$/.test(name)
