import { createHash } from 'node:crypto'
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Data directories with as many images as are wanted, written as the server would have (src/storage/local). */

const hex = (text, algorithm = 'sha1') => createHash(algorithm).update(text).digest('hex')

export function uuidOf(index) {
  const digits = hex(`image ${index}`)
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`
}

/** A fifth of the images are for LX zones; a name and a role belong to a hundred out of ten thousand. */
export const LX = { os: 'linux', type: 'lx-dataset' }
export const nameOf = index => `base-${index % 100}-lts`
export const roleOf = index => `role-${Math.floor(index / 100)}`

const FILE_SIZE = 95_274_801

/** Metadata as long as those of the images that SmartOS users have. */
function manifestOf(index, { state, size }) {
  const name = nameOf(index)
  const published = new Date(Date.UTC(2020, 0, 1) + index * 60_000).toISOString()
  return {
    v: 2,
    uuid: uuidOf(index),
    owner: '930896af-bf8c-48d4-885c-6573a94b1853',
    name,
    version: `24.${index % 12}.${index}`,
    state,
    disabled: false,
    public: true,
    ...(state === 'active' && { published_at: published }),
    ...(index % 5 === 0 ? LX : { type: 'zone-dataset', os: 'smartos' }),
    files: state === 'active' ? [{ sha1: hex(`file ${index}`), size, compression: 'gzip' }] : [],
    description:
      'A 64-bit image with just essential packages installed. Ideal for users who are comfortable with setting up their own environment and tools, and who want a small image to begin from.',
    homepage: `https://docs.example.com/images/${name}`,
    requirements: {
      networks: [{ name: 'net0', description: 'public' }],
      min_platform: { '7.0': '20210826T002459Z' },
      ssh_key: true,
    },
    users: [{ name: 'root' }, { name: 'admin' }],
    tags: { role: roleOf(index), kernel_version: '5.10.0', group: 'base', default_user: 'root' },
  }
}

/**
 * Writes one image. Its file is a hole of the right size, which `write` may fill: it gets the path. Returns
 * the image's UUID.
 */
export function writeImage(datadir, index, { state = 'active', size = FILE_SIZE, write } = {}) {
  const manifest = manifestOf(index, { state, size })
  const folder = join(datadir, manifest.uuid)
  const name = 'image-00000001.zfs.gz'
  mkdirSync(folder)
  if (state === 'active') {
    const path = join(folder, name)
    const file = openSync(path, 'w')
    if (!write) ftruncateSync(file, size)
    closeSync(file)
    write?.(path)
  }
  // With its md5, or the server would set out to compute it.
  const files = manifest.files.map(() => ({
    name,
    mtime: '2020-01-01T00:00:00.000Z',
    md5: hex(`${index}`, 'md5'),
  }))
  const document = { ...manifest, _imgapi: { files } }
  writeFileSync(join(folder, 'manifest.json'), `${JSON.stringify(document, null, 2)}\n`)
  return manifest.uuid
}

export const filePathOf = uuid => `${uuid}/image-00000001.zfs.gz`

/** Writes the images 0 to `count` - 1. */
export function writeImages(datadir, count, options) {
  mkdirSync(datadir, { recursive: true })
  return Array.from({ length: count }, (_, index) => writeImage(datadir, index, options))
}
