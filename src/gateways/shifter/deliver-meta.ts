import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { joinAccess } from './access.ts'
import type { ShifterContext } from './context.ts'
import { renderMeta } from './meta.ts'
import { FILE_MODE } from './platform.ts'
import { type ImageRecord, isSameName, metaFile } from './record.ts'

/** What the runtime reads beside an image. */

/**
 * Writes the meta file of an image, which has one for all of its names. The runtime does not know by which name
 * an image is used: it lets in everybody who may use one of them. `record`: READY, or about to become so. Returns
 * what of the image cannot be said in the file.
 */
export async function deliverMeta(
  { expand, platforms, records, withAcl }: ShifterContext,
  record: ImageRecord,
  signal: AbortSignal,
): Promise<string[]> {
  const { key, status, system, id } = record
  const isReplaced = (other: ImageRecord) => status !== 'READY' && isSameName(other, record)
  const others = records.readyById(system, id!).filter(other => other.key !== key && !isReplaced(other))
  const access = joinAccess([...others, record])
  const { text, leftOut } = renderMeta({ ...record, ...access }, { withAcl })
  const path = join(expand, `${key}.meta`)
  try {
    await writeFile(path, text, { mode: FILE_MODE })
    await platforms.get(system)!.deliver(path, metaFile(record), signal)
  } finally {
    await rm(path, { force: true })
  }
  return leftOut
}
