import { readFile } from 'node:fs/promises'
import { inWords } from '../../images/lint/finding.ts'
import { lint } from '../../images/lint/lint.ts'
import { isObject } from '../../images/rules.ts'
import { chooseFile, findFilesFor } from '../../util/manifest-pairs.ts'
import { OperatorError } from '../../util/operator-error.ts'
import type { Progress } from '../hash-file.ts'
import { describeFile, inspectFile, type LocalFile } from '../send-file.ts'

/** Checks a manifest and its file completely before the first request to a server. */

export interface Plan {
  manifestPath: string
  uuid: string
  manifest: Record<string, unknown>
  file: Omit<LocalFile, 'sha1'>
  /** The warnings of lint, one line each. */
  advice: string[]
}

/** An image cannot be published; the message says why, and what to do. */
export class PublishError extends OperatorError {
  override readonly name = 'PublishError'
}

/**
 * Resolves to a manifest and its file: the given one, or the one beside the manifest. Throws PublishError if the
 * manifest has errors or the file does not match it.
 */
export async function planFor(manifestPath: string, filePath?: string): Promise<Plan> {
  const { manifest, findings } = lint(await readFile(manifestPath, 'utf8'))
  const errors = findings.filter(({ level }) => level === 'error')
  if (errors.length > 0 || !manifest) {
    throw new PublishError(findings.map(finding => `${manifestPath}: ${inWords(finding)}`).join('\n'))
  }
  const stated = statedFile(manifest)
  const file = await describeFile(filePath ?? (await ownFile(manifestPath, stated.size)))
  if (stated.size !== undefined && Number(stated.size) !== file.size) {
    const message = `${file.path}: has ${file.size} bytes, the manifest says ${stated.size}: is this the right file, and whole?`
    throw new PublishError(message)
  }
  if (file.size === 0) throw new PublishError(`${file.path}: is empty`)
  const compression = (stated.compression ?? file.compression) as LocalFile['compression']
  // `none` is right for a payload that is itself a compressed format.
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

/** Computes the SHA-1 of the file. Throws PublishError if the manifest states another. */
export async function digestOf(
  { manifest, file }: Plan,
  options: { onProgress?: Progress; signal?: AbortSignal } = {},
): Promise<LocalFile> {
  const { sha1 } = await inspectFile(file.path, options)
  const stated = statedFile(manifest).sha1
  if (typeof stated === 'string' && stated.toLowerCase() !== sha1) {
    const message = `${file.path}: has SHA-1 ${sha1}, the manifest says ${stated}: is this the right file, and whole?`
    throw new PublishError(message)
  }
  return { ...file, sha1 }
}

/** Returns the entry of the manifest for its file, unchecked. */
function statedFile({ files }: Record<string, unknown>): {
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
      ? `${manifestPath}: no image file beside it has the same name (and ends in .zfs.gz or the like): name it with -f FILE`
      : `${manifestPath}: several files match (${names}): name one with -f FILE`,
  )
}
