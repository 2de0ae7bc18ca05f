import { lstat, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fullMessage } from '../../images/errors.ts'
import { inWords } from '../../images/lint/finding.ts'
import { lint } from '../../images/lint/lint.ts'
import { moveTogether, readManifestText } from './files.ts'

const FAILED = 'failed'

/**
 * Moves a pair that cannot be published to `failed/`, with the reason beside its manifest. Resolves to the lines of the
 * reason and the folder.
 */
export async function setAside(folder: string, manifest: string, files: readonly string[], error: Error) {
  const aside = join(folder, FAILED)
  await mkdir(aside, { recursive: true })
  if ((await lstat(aside)).isSymbolicLink()) throw new Error(`${aside} is a symbolic link: remove it`)
  const lines = [fullMessage(error), ...(await adviceOn(folder, manifest))]
  // Remove an existing entry first: a link of that name could lead to any file.
  await rm(join(aside, `${manifest}.error`), { force: true })
  await writeFile(join(aside, `${manifest}.error`), `${lines.join('\n')}\n`, { flag: 'wx' })
  await moveTogether(folder, aside, [...files, manifest])
  return { lines, aside }
}

/** Returns the findings of the linter for a manifest: how to correct errors, and possible improvements. */
async function adviceOn(folder: string, manifest: string): Promise<string[]> {
  try {
    return lint(await readManifestText(folder, manifest)).findings.map(inWords)
  } catch {
    // The manifest is too long or too deep, which the error already says.
    return []
  }
}
