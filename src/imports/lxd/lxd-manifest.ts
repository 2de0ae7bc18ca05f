import type { ImageDescription, OfferedFile } from './image-server.ts'

/** Returns the first half of the fingerprint as a UUID, so that every server assigns the same one. */
const uuidOf = (fingerprint: string) =>
  fingerprint.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')

export interface ManifestOptions {
  /** Name of the image server in the config. */
  registry: string
  isPublic: boolean
  now: Date
}

/**
 * Returns the manifest of an image of type lxd (reference contract, section 11). `files`: the fetched ones, metadata
 * first.
 */
export function lxdManifest(
  image: ImageDescription,
  files: readonly Pick<OfferedFile, 'path' | 'ftype' | 'sha256'>[],
  { registry, isPublic, now }: ManifestOptions,
): Record<string, unknown> & { uuid: string } {
  const { fullname, version, fingerprint } = image
  const metadata = files[0]
  const name = image.pubname ?? fullname
  const tags = {
    'lxd:arch': image.arch,
    'lxd:aliases': image.aliases,
    'lxd:fingerprint': fingerprint,
    'lxd:ftype': files.at(-1)?.ftype,
    'lxd:name': name,
    'lxd:os': image.os,
    'lxd:path': metadata?.path,
    'lxd:release': image.release,
    'lxd:release_title': image.release_title,
    'lxd:repo': registry,
    'lxd:sha256': metadata?.sha256,
  }
  return {
    v: 2,
    uuid: uuidOf(fingerprint),
    name: name.replace(/[^0-9A-Za-z._/ -]/g, '_'),
    version: version.replace(/[^0-9A-Za-z._/+-]/g, '_'),
    type: 'lxd',
    os: 'linux',
    public: isPublic,
    published_at: dateOf(version) ?? now.toISOString(),
    description: fullname,
    requirements: { brand: 'lx' },
    tags: Object.fromEntries(Object.entries(tags).filter(([, value]) => value !== undefined)),
  }
}

/** Parses the date at the start of a version such as `20261124_07:42`. */
function dateOf(version: string): string | undefined {
  const time = Date.parse(version.replace(/^(\d{4})(\d\d)(\d\d).*$/s, '$1-$2-$3'))
  return /^\d{8}/.test(version) && !Number.isNaN(time) ? new Date(time).toISOString() : undefined
}
