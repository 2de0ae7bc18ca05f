import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { storageIsDown } from '../../images/errors.ts'

/**
 * Where everything is in a data directory:
 *
 *     <datadir>/<uuid>/manifest.json         the manifest, our bookkeeping under its key `_imgapi`
 *     <datadir>/<uuid>/image-1f00c3d9.zfs.gz the image file (`image.gz` if the predecessor stored it)
 *     <datadir>/<uuid>/icon-77ab01f2.png     the icon
 *     <datadir>/.tmp/                        uploads in flight, folders being made or deleted; emptied at start
 *     <datadir>/.cache/<uuid>.json           what can be made again: the md5 of files that came without
 *     <datadir>/.jobs/<uuid>.json            records of imports, and `<name>.partial`, what they have so far
 *     <datadir>/.mirrors/<source>.json       what came from each mirrored source, made with the first run
 *     <datadir>/.lock/                       the sockets by which one server knows of another
 *     <datadir>/etc/authkeys/local/          SSH keys of users, `<user>.keys`; put there by the operator
 *     <datadir>/incoming/                    images to publish, if the operator made it
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

/** What else is in a data directory by right. */
export const OPERATORS_FOLDERS = new Set(['etc', 'incoming'])

export const folderOf = ({ root }: Layout, uuid: string) => join(root, uuid)
export const manifestPath = ({ root }: Layout, uuid: string) => join(root, uuid, MANIFEST)
export const jobPath = ({ jobs }: Layout, uuid: string) => join(jobs, `${uuid}.json`)
export const mirrorPath = ({ mirrors }: Layout, name: string) => join(mirrors, `${name}.json`)
export const partialPath = ({ jobs }: Layout, name: string) => join(jobs, `${name}.partial`)
export const cachePath = ({ cache }: Layout, uuid: string) => join(cache, `${uuid}.json`)

export const MANIFEST = 'manifest.json'

/** Whether a record may name a file so: one in the folder of its image, and not the manifest. */
export const isStoredName = (name: unknown): name is string =>
  typeof name === 'string' &&
  /^[^/\0]{1,255}$/.test(name) &&
  !['.', '..', MANIFEST].includes(name.toLowerCase())

/** Throws StorageIsDown for a name that leads out of the image's folder. */
export function filePath({ root }: Layout, uuid: string, name: string): string {
  if (isStoredName(name)) return join(root, uuid, name)
  throw storageIsDown(`image ${uuid} cannot have a file of the name ${JSON.stringify(name)}`)
}

const unique = () => randomBytes(4).toString('hex')

/** A path in `.tmp` that nobody else uses. */
export const temporaryPath = ({ tmp }: Layout) => join(tmp, `${unique()}${unique()}`)

/** Where a file waits for the folder of its image, which is not made yet. */
export const stagedPath = ({ tmp }: Layout, uuid: string, name: string) => join(tmp, `${uuid}.${name}`)

/** A name for a stored file that no manifest points at yet. */
export const freshName = (kind: string, extension: string) => `${kind}-${unique()}${extension}`

/** Names that we gave, and so may sweep when no manifest points at them; nobody else's file matches. */
export const isOurName = (name: string) => /^(image|image1|icon)-[0-9a-f]{8}(\.[a-z0-9]+)*$/.test(name)
