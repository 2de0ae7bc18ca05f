import type { Stats } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { LARGEST_DOCUMENT } from '../../images/json.ts'
import { candidatePairs, type NamedPair } from '../../util/manifest-pairs.ts'
import { openRegular, readRegular } from '../../util/regular-file.ts'

/** The files of a drop folder: how they are paired, compared, read and moved. */

/** Returns every manifest with its candidate files. Skips names that begin with a dot: these are unfinished copies. */
export const pairUp = (names: readonly string[]): NamedPair[] =>
  candidatePairs(names.filter(name => !name.startsWith('.')))

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

/** Returns the text of a manifest. Throws JsonError if it is too long, and errors of the system. */
export async function readManifestText(folder: string, name: string): Promise<string> {
  return (await readRegular(join(folder, name), LARGEST_DOCUMENT)).toString()
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
