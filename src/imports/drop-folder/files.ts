import type { Stats } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { isImageFileName, isManifestName, stemOf } from '../../manifests/pairs.ts'
import { openRegular } from '../../util/regular-file.ts'

/** The files of a drop folder: how they are paired, compared, read and moved. */

export interface Pair {
  manifest: string
  /** Candidates for the image file; if there are several, the size in the manifest decides. */
  files: string[]
}

/**
 * Returns every manifest with its candidate files. Skips names that begin with a dot: these are unfinished copies.
 */
export function pairUp(names: readonly string[]): Pair[] {
  const visible = names.filter(name => !name.startsWith('.')).sort()
  const files = visible.filter(isImageFileName)
  return visible
    .filter(isManifestName)
    .map(manifest => ({ manifest, files: files.filter(name => stemOf(name) === stemOf(manifest)) }))
}

/** Moves all the files or, after an error, none: a half of a pair would wait for the other one forever. */
export async function moveTogether(from: string, to: string, names: readonly string[]) {
  const moved: string[] = []
  try {
    for (const name of names) {
      await rename(join(from, name), join(to, name))
      moved.push(name)
    }
  } catch (error) {
    for (const name of moved) await rename(join(to, name), join(from, name)).catch(() => {})
    throw error
  }
}

/** Returns a string that differs if the file was changed or replaced. */
export const fingerprintOf = ({ size, mtimeMs, ino }: Stats) => `${size} ${mtimeMs} ${ino}`

/**
 * Reads the bytes that the file has now. Throws an error if it changes meanwhile: then the copy is not complete.
 */
export async function* bytesOf(path: string): AsyncGenerator<Buffer> {
  const { handle, stats } = await openRegular(path)
  try {
    yield* handle.createReadStream({ start: 0, end: Math.max(0, stats.size - 1), autoClose: false })
    if (fingerprintOf(await handle.stat()) !== fingerprintOf(stats)) {
      throw new Error('the file changed while it was read')
    }
  } finally {
    await handle.close()
  }
}
