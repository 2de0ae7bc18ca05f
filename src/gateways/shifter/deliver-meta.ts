import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { joinAccess } from './access.ts'
import type { ShifterContext } from './context.ts'
import { renderMeta } from './meta.ts'
import { FILE_MODE } from './platform.ts'
import { type ImageRecord, isSameName, metaFile } from './record.ts'

/**
 * Writes the meta file of an image, which the runtime reads. All names of an image share one file and the runtime
 * does not know which name is used, so the file admits the users of all of them. `record`: READY, or about to
 * become READY. Returns the keys of the image's config that the file cannot express.
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
