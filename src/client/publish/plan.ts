import { readFile } from 'node:fs/promises'
import { isObject } from '../../images/rules.ts'
import type { Progress } from '../hash-file.ts'
import { inspectFile, type LocalFile, lookAt } from '../send-file.ts'
import { inWords } from './finding.ts'
import { lint } from './lint.ts'
import { chooseFile, findFilesFor } from './pairs.ts'

/** A manifest and its file, found to fit together: all that can be wrong here is known before a server hears of it. */

export interface Plan {
  manifestPath: string
  uuid: string
  manifest: Record<string, unknown>
  file: Omit<LocalFile, 'sha1'>
  /** What may be better in the manifest. */
  advice: string[]
}

/** The message says what is wrong with what is here, and what to do. */
export class PublishError extends Error {
  override readonly name = 'PublishError'
}

/** Throws PublishError. */
export async function planFor(manifestPath: string, filePath?: string): Promise<Plan> {
  const { manifest, findings } = lint(await readFile(manifestPath, 'utf8'))
  const errors = findings.filter(({ level }) => level === 'error')
  if (errors.length > 0 || !manifest) {
    throw new PublishError(findings.map(finding => `${manifestPath}: ${inWords(finding)}`).join('\n'))
  }
  const said = claimOf(manifest)
  const file = await lookAt(filePath ?? (await ownFile(manifestPath, said.size)))
  if (said.size !== undefined && Number(said.size) !== file.size) {
    const message = `${file.path}: has ${file.size} bytes, the manifest says ${said.size}: is this the right file, and whole?`
    throw new PublishError(message)
  }
  if (file.size === 0) throw new PublishError(`${file.path}: is empty`)
  const compression = (said.compression ?? file.compression) as LocalFile['compression']
  // `none` may label anything, such as a payload that is compressed by design.
  if (compression !== 'none' && compression !== file.compression) {
    const message = `${file.path}: its first bytes say "${file.compression}", the manifest says "${compression}": correct files[0].compression`
    throw new PublishError(message)
  }
  return {
    manifestPath,
    uuid: String(manifest.uuid),
    manifest,
    file: { ...file, compression },
    advice: findings.map(finding => `${manifestPath}: ${inWords(finding)}`),
  }
}

/** Reads the whole file. Throws PublishError if it is not what the manifest says. */
export async function digestOf(
  { manifest, file }: Plan,
  options: { onProgress?: Progress; signal?: AbortSignal } = {},
): Promise<LocalFile> {
  const { sha1 } = await inspectFile(file.path, options)
  const said = claimOf(manifest).sha1
  if (typeof said === 'string' && said.toLowerCase() !== sha1) {
    const message = `${file.path}: has SHA-1 ${sha1}, the manifest says ${said}: is this the right file, and whole?`
    throw new PublishError(message)
  }
  return { ...file, sha1 }
}

/** What the manifest says of its file. */
function claimOf({ files }: Record<string, unknown>): {
  size?: unknown
  sha1?: unknown
  compression?: unknown
} {
  const [first] = Array.isArray(files) ? files : []
  return isObject(first) ? first : {}
}

async function ownFile(manifestPath: string, size: unknown): Promise<string> {
  const candidates = await findFilesFor(manifestPath)
  const chosen = chooseFile(candidates, size)
  if (chosen) return chosen.path
  const names = candidates.map(({ path }) => path).join(', ')
  throw new PublishError(
    candidates.length === 0
      ? `${manifestPath}: there is no file with the same name and .zfs.gz or the like beside it: name it with -f FILE`
      : `${manifestPath}: which file is it of ${names}? Name it with -f FILE`,
  )
}
