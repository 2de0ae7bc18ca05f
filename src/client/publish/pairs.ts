import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/**
 * Which file belongs to which manifest, by their names: what is before the ending is the same. The endings are
 * those of `imgadm create` and of the builders that people use.
 */

const MANIFEST_ENDINGS = ['.imgmanifest', '.dsmanifest', '.manifest', '.json']

/** Those of file systems and volumes, as they are and compressed, and other payloads. */
const FILE_ENDINGS = [
  ...['.zfs', '.zvol', '.tar'].flatMap(kind => ['.gz', '.bz2', '.xz', ''].map(packed => kind + packed)),
  '.tgz',
  '.sh',
]

const endingOf = (name: string, endings: string[]) =>
  endings.find(ending => name.endsWith(ending) && name.length > ending.length)

export const isManifestName = (name: string) => endingOf(name, MANIFEST_ENDINGS) !== undefined
export const isImageFileName = (name: string) => endingOf(name, FILE_ENDINGS) !== undefined

/** `my-image-1.0.0` of `my-image-1.0.0.zfs.gz`; undefined for a name that is of neither kind. */
export function stemOf(name: string): string | undefined {
  const ending = endingOf(name, [...MANIFEST_ENDINGS, ...FILE_ENDINGS])
  return ending && name.slice(0, -ending.length)
}

export interface NamedPair {
  manifest: string
  /** In most cases one; which it is of several, its size tells. */
  files: string[]
}

export interface Paired {
  pairs: NamedPair[]
  /** Manifests without a file. Other things are JSON too: a lone `.json` is none of ours. */
  lonelyManifests: string[]
  lonelyFiles: string[]
}

/** The names of a folder, sorted out. */
export function pairNames(names: readonly string[]): Paired {
  const files = new Map<string, string[]>()
  for (const name of names.filter(isImageFileName)) {
    const stem = stemOf(name)!
    files.set(stem, [...(files.get(stem) ?? []), name].sort())
  }
  const manifests = names.filter(isManifestName).sort()
  const pairs = manifests.map(manifest => ({ manifest, files: files.get(stemOf(manifest)!) ?? [] }))
  const taken = new Set(manifests.map(stemOf))
  return {
    pairs: pairs.filter(pair => pair.files.length > 0),
    lonelyManifests: pairs
      .filter(pair => pair.files.length === 0 && !pair.manifest.endsWith('.json'))
      .map(pair => pair.manifest),
    lonelyFiles: [...files].filter(([stem]) => !taken.has(stem)).flatMap(([, found]) => found),
  }
}

/** The files beside a manifest that may be its own, with their sizes. */
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

/** The one file of several that is as large as the manifest says; without that, the only one. */
export function chooseFile<T extends { size: number }>(files: readonly T[], size: unknown): T | undefined {
  if (files.length === 1) return files[0]
  const fitting = files.filter(file => file.size === Number(size))
  return fitting.length === 1 ? fitting[0] : undefined
}
