import { z } from 'zod'
import { isObject } from '../../images/rules.ts'
import type { ImageDescription } from './image-server.ts'

/**
 * Chooses an image from the list of a simplestreams server: the product that has an alias, its newest version and the
 * files of that (reference contract, section 11).
 */

const Item = z.object({
  ftype: z.string(),
  path: z.string().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  size: z.int().positive(),
})

const Product = z.object({
  aliases: z.string(),
  arch: z.string(),
  os: z.string().optional(),
  pubname: z.string().optional(),
  release: z.string().optional(),
  release_title: z.string().optional(),
  versions: z.record(z.string(), z.looseObject({ items: z.record(z.string(), z.unknown()) })),
})

export type StreamFile = z.infer<typeof Item>

export interface StreamImage extends ImageDescription {
  /** The metadata and the root file system, or one file that has both. */
  files: readonly StreamFile[]
}

/** The architecture of SmartOS hosts, by its names. */
export const ARCHITECTURES = ['amd64', 'x86_64']

/** A version may have the metadata of both, for the same root file systems; LXD's is preferred. */
const FLAVOURS = [
  { combined: 'lxd_combined.tar.gz', metadata: 'lxd.tar.xz' },
  { combined: 'incus_combined.tar.gz', metadata: 'incus.tar.xz' },
]
/** Types of root file systems, best first, and the keys of the metadata with the fingerprint for each. */
const ROOTS: readonly (readonly [ftype: string, ...fingerprints: string[]])[] = [
  ['squashfs', 'combined_squashfs_sha256'],
  ['root.tar.xz', 'combined_rootxz_sha256', 'combined_sha256'],
  ['disk-kvm.img', 'combined_disk-kvm-img_sha256'],
  ['uefi1.img', 'combined_uefi1-img_sha256'],
  ['disk1.img', 'combined_disk1-img_sha256'],
]

/**
 * Returns the newest version of an image. `wanted`: an alias, for the architecture of SmartOS hosts, or an alias with `/`
 * and an architecture. Returns undefined if no product has the alias. Throws an error with a message for the user if
 * the product is not usable.
 */
export function chooseImage(products: Record<string, unknown>, wanted: string): StreamImage | undefined {
  const candidates = Object.entries(products).flatMap(([fullname, product]) => {
    if (!isObject(product) || typeof product.aliases !== 'string') return []
    const arch = String(product.arch)
    return [{ fullname, product, arch, aliases: product.aliases.split(',').map(alias => alias.trim()) }]
  })
  const named = candidates.filter(({ aliases }) => aliases.includes(wanted))
  const found =
    named.find(({ arch }) => ARCHITECTURES.includes(arch)) ??
    candidates.find(({ aliases, arch }) => aliases.some(alias => `${alias}/${arch}` === wanted))
  if (found) return newestVersion(found.fullname, found.product)
  if (named.length === 0) return undefined
  const others = named.map(({ arch }) => `${wanted}/${arch}`).join(', ')
  throw new Error(`there is no image ${wanted} for ${ARCHITECTURES[0]}; there is ${others}`)
}

function newestVersion(fullname: string, given: unknown): StreamImage {
  const result = Product.safeParse(given)
  if (!result.success) {
    const [issue] = result.error.issues
    throw new Error(`product ${fullname} is not valid: ${issue!.path.join('.')}: ${issue!.message}`)
  }
  const { versions, ...product } = result.data
  // The newest version may still lack some files while it is being published.
  for (const version of Object.keys(versions).sort().reverse()) {
    const files = chooseFiles(Object.values(versions[version]!.items))
    if (files) return { ...product, fullname, version, ...files }
  }
  throw new Error(`product ${fullname} has no version with a root file system and its metadata`)
}

type Files = Pick<StreamImage, 'fingerprint' | 'files'>

function chooseFiles(items: readonly unknown[]): Files | undefined {
  for (const flavour of FLAVOURS) {
    const combined = fileOf(items, flavour.combined)
    if (combined) return { fingerprint: combined.file.sha256, files: [combined.file] }
    const metadata = fileOf(items, flavour.metadata)
    const files = metadata && withRoot(items, metadata)
    if (files) return files
  }
  return undefined
}

function withRoot(items: readonly unknown[], metadata: NonNullable<ReturnType<typeof fileOf>>) {
  for (const [ftype, ...keys] of ROOTS) {
    const root = fileOf(items, ftype)
    const fingerprint = keys.map(key => metadata.item[key]).find(value => typeof value === 'string')
    if (root && fingerprint !== undefined && /^[0-9a-f]{64}$/.test(fingerprint)) {
      return { fingerprint, files: [metadata.file, root.file] }
    }
  }
  return undefined
}

function fileOf(items: readonly unknown[], ftype: string) {
  for (const item of items) {
    if (!isObject(item) || item.ftype !== ftype) continue
    const { success, data } = Item.safeParse(item)
    if (success) return { file: data, item }
  }
  return undefined
}
