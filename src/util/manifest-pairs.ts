import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/**
 * Pairs manifests and image files by name: the part before the ending is the same. The endings are those of
 * `imgadm create` and of common builders.
 */

const MANIFEST_ENDINGS = ['.imgmanifest', '.dsmanifest', '.manifest', '.json']

/** Endings of file systems and volumes, plain and compressed, and of other payloads. */
const FILE_ENDINGS = [
  ...['.zfs', '.zvol', '.tar'].flatMap(kind => ['.gz', '.bz2', '.xz', ''].map(packed => kind + packed)),
  '.tgz',
  '.sh',
]

const endingOf = (name: string, endings: string[]) =>
  endings.find(ending => name.endsWith(ending) && name.length > ending.length)

/** Returns whether the name ends as those of manifests do. */
const isManifestName = (name: string) => endingOf(name, MANIFEST_ENDINGS) !== undefined
/** Returns whether the name ends as those of image files do. */
const isImageFileName = (name: string) => endingOf(name, FILE_ENDINGS) !== undefined

/** Returns `my-image-1.0.0` for `my-image-1.0.0.zfs.gz`, undefined for a name without a known ending. */
export function stemOf(name: string): string | undefined {
  const ending = endingOf(name, [...MANIFEST_ENDINGS, ...FILE_ENDINGS])
  return ending && name.slice(0, -ending.length)
}

export interface NamedPair {
  manifest: string
  /** Candidates for the image file, usually one; if there are several, the size in the manifest decides. */
  files: string[]
}

/** Returns every manifest among the names of a folder with the files of the same name, in the order of names. */
export function candidatePairs(names: readonly string[]): NamedPair[] {
  const files = new Map<string | undefined, string[]>()
  for (const name of names.filter(isImageFileName).sort()) {
    const others = files.get(stemOf(name))
    if (others) others.push(name)
    else files.set(stemOf(name), [name])
  }
  return names
    .filter(isManifestName)
    .sort()
    .map(manifest => ({ manifest, files: files.get(stemOf(manifest)) ?? [] }))
}

export interface Pairing {
  pairs: NamedPair[]
  /** Manifests without a file; not those that end in `.json`, which may be other JSON files. */
  unpairedManifests: string[]
}

/** Sorts the manifests of a folder into those with and without a file. */
export function pairNames(names: readonly string[]): Pairing {
  const all = candidatePairs(names)
  return {
    pairs: all.filter(({ files }) => files.length > 0),
    unpairedManifests: all
      .filter(({ manifest, files }) => files.length === 0 && !manifest.endsWith('.json'))
      .map(({ manifest }) => manifest),
  }
}

/** Resolves to the files in the folder of a manifest that match its name, with their sizes. */
export async function findFilesFor(manifestPath: string): Promise<{ path: string; size: number }[]> {
  const folder = dirname(manifestPath)
  const stem = stemOf(basename(manifestPath)) ?? basename(manifestPath)
  const names = (await readdir(folder)).filter(name => isImageFileName(name) && stemOf(name) === stem)
  return Promise.all(
    names.sort().map(async name => {
      const path = join(folder, name)
      return { path, size: (await stat(path)).size }
    }),
  )
}

/** Returns the only file, or of several the only one that has the size of the manifest; otherwise undefined. */
export function chooseFile<T extends { size: number }>(files: readonly T[], size: unknown): T | undefined {
  if (files.length === 1) return files[0]
  const fitting = files.filter(file => file.size === Number(size))
  return fitting.length === 1 ? fitting[0] : undefined
}
