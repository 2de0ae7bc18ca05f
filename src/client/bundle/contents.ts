import { EXTENSION } from '../../images/compression.ts'
import type { RemoteFile } from '../../images/fetched-file.ts'
import type { RemoteImage } from '../types.ts'
import { BundleError } from './bundle-error.ts'

/** The layout of a bundle: README, sums and manifests, which an import needs first, and then the files. */

export const README = 'README.txt'
export const SUMS = 'SHA1SUMS'
export const MANIFEST_ENDING = '.imgmanifest'

/** A file of an image in a bundle; `index` is its position in the manifest. */
export interface BundledFile extends RemoteFile {
  /** Its name in the bundle. */
  name: string
  uuid: string
  index: number
}

/** An image in a bundle: its manifest and its files, with their names. */
export interface BundledImage {
  manifest: RemoteImage
  manifestName: string
  files: BundledFile[]
}

/** A tar header has room for a name of 100 bytes; this leaves enough for a UUID and the endings. */
const LONGEST_STEM = 50

/**
 * Names the entries of each image after its name and version; the UUID makes them unique. Expects origins before the
 * images based on them. Throws BundleError.
 */
export function nameContents(manifests: readonly RemoteImage[]): BundledImage[] {
  const used = new Set<string>()
  return manifests.map(manifest => {
    const { uuid } = manifest
    const stem = `${manifest.name}-${manifest.version}`
      .replace(/[^A-Za-z0-9._+-]+/g, '-')
      .replace(/^[.-]+/, '')
      .slice(0, LONGEST_STEM)
    const short = `${stem}-${uuid.slice(0, 8)}`
    const base = used.has(short) ? `${stem}-${uuid}` : short
    used.add(base)
    const files = filesOf(manifest).map((file, index) => {
      const kind = index === 0 ? '.zfs' : `.file${index}`
      return { ...file, uuid, index, name: `${base}${kind}${EXTENSION[file.compression] ?? ''}` }
    })
    return { manifest, manifestName: `${base}${MANIFEST_ENDING}`, files }
  })
}

/** Returns the files of a manifest, each with a valid size and SHA-1. Throws BundleError if one has none. */
export function filesOf({ uuid, files }: RemoteImage): RemoteFile[] {
  if (!Array.isArray(files) || files.length === 0) throw new BundleError(`image ${uuid} has no file`)
  return files.map(file => {
    const size = Number(file.size)
    if (Number.isSafeInteger(size) && size > 0 && /^[0-9a-f]{40}$/.test(file.sha1)) return { ...file, size }
    throw new BundleError(`the manifest of image ${uuid} lacks a valid size or SHA-1 of its file`)
  })
}

/** Returns the text of SHA1SUMS, as `sha1sum -c` reads it. */
export const sumsOf = (images: readonly BundledImage[]) =>
  images.flatMap(({ files }) => files.map(({ sha1, name }) => `${sha1}  ${name}\n`)).join('')

/** Returns the text of README.txt: the images, and how to install them with and without a server. */
export function readmeOf(images: readonly BundledImage[], source: string, file: string): string {
  const list = images.map(({ manifest, files }) => {
    const size = files.reduce((sum, one) => sum + one.size, 0)
    return `  ${manifest.uuid}  ${manifest.name} ${manifest.version}, ${size} bytes`
  })
  const installs = images.map(
    ({ manifestName, files }) => `  imgadm install -m ${manifestName} -f ${files[0]!.name}`,
  )
  return `Images for SmartOS, from ${source}.
Origins come before the images that are made from them.

${list.join('\n')}

Import all of them into an image server:

  imgapi bundle import ${file} -u http://USER@images.example.com:8080

Or, without an image server, install them on a SmartOS host, in this order:

  tar xf ${file}
${installs.join('\n')}

The SHA-1 of each image file is in ${SUMS}: sha1sum -c ${SUMS}
`
}
