import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { renderMeta } from './meta.ts'
import { FILE_MODE } from './platform.ts'
import { type ImageRecord, metaFile, now } from './record.ts'
import type { Workshop } from './workshop.ts'

/** The last steps of a pull or an import: what the runtime reads, and what clients find. */

/** Writes the meta file of a record. Returns what of the image cannot be said in it. */
export async function deliverMeta(
  { expand, platforms, withAcl }: Workshop,
  record: ImageRecord,
  signal: AbortSignal,
): Promise<string[]> {
  const { text, leftOut } = renderMeta(record, { withAcl })
  const path = join(expand, `${record.key}.meta`)
  try {
    await writeFile(path, text, { mode: FILE_MODE })
    await platforms.get(record.system)!.deliver(path, metaFile(record), signal)
  } finally {
    await rm(path, { force: true })
  }
  return leftOut
}

/**
 * Makes a finished pull READY. A record of the same image takes its place if there is one; the tag is this
 * image's alone from here on.
 */
export async function commit({ records, config }: Workshop, record: ImageRecord, message: string) {
  const { key, system, type, pulltag, id, isPrivate, userACL, groupACL, image, format } = record
  const holder = records.readyById(system, id!)
  const state = { status: 'READY' as const, lastPull: now(), message, pulltag, work: undefined }
  const kept = await records.update(holder?.key ?? key, ({ tags }) => ({
    ...state,
    ...{ isPrivate, userACL, groupACL, image, format },
    tags: tags.includes(pulltag) ? tags : [...tags, pulltag],
  }))
  for (const other of records.of(system)) {
    const hadTag = other.key !== kept.key && other.status === 'READY' && other.type === type
    if (!hadTag || !other.tags.includes(pulltag)) continue
    await records.update(other.key, ({ tags, expiration }) => {
      const left = tags.filter(tag => tag !== pulltag)
      // Jobs that run may have it mounted; nobody will look it up any more.
      const end = left.length > 0 ? expiration : (expiration ?? now() + config.ImageExpirationTimeout)
      return { tags: left, expiration: end }
    })
  }
  for (const failure of records.failures({ system, type, tag: pulltag })) await records.remove(failure.key)
  if (holder) await records.remove(key)
}
