import type { ShifterContext } from './context.ts'
import { type ImageRecord, isSameName, now } from './record.ts'

/**
 * The records of names. A name (system, type and tag) and an image together have one record, with the users and
 * groups that may use the image under this name. Records of one image share its files. When a name gets another
 * image, the record of the old one stays without a name until it expires.
 */

type Tools = Pick<ShifterContext, 'records' | 'config'>

/** Makes finished work READY under its name. The image that had the name before loses it. */
export async function commit({ records, config }: Tools, record: ImageRecord, message: string) {
  const { key, system, type, pulltag, id } = record
  const named = records.ready({ system, type, tag: pulltag })
  const known = records.readyById(system, id!).find(other => isSameName(other, record))
  const committed = await records.update(known?.key ?? key, ({ key: own, tags, expiration }) => ({
    ...record,
    ...{ key: own, status: 'READY', tags: [pulltag], lastPull: now(), message, work: undefined },
    expiration: tags.length > 0 ? expiration : undefined,
  }))
  // The record may have been removed during the update.
  const isReplaced =
    named !== undefined && named.key !== committed.key && records.find(named.key) !== undefined
  if (isReplaced) await loseName({ records, config }, named)
  for (const failure of records.failures({ system, type, tag: pulltag })) await records.remove(failure.key)
  if (known) await records.remove(key)
}

/**
 * Gives each name a record of its own; called at the start. In earlier versions one record had all names of an
 * image. After a crash a name may have two records: the later one keeps it.
 */
export async function settleNames({ records, config }: Tools) {
  for (const { key, ...record } of records.all()) {
    const [first, ...others] = record.status === 'READY' ? record.tags : []
    if (others.length === 0) continue
    for (const tag of others) await records.add({ ...record, tags: [tag], pulltag: tag })
    await records.update(key, () => ({ tags: [first!], pulltag: first! }))
  }
  for (const record of records.all()) {
    const { key, status, system, type, tags, id } = record
    if (status !== 'READY' || tags.length === 0) continue
    const owner = records.ready({ system, type, tag: tags[0]! })!
    if (owner.key === key) continue
    if (owner.id === id) await records.remove(key)
    else await loseName({ records, config }, record)
  }
}

/** Removes the name of a record and lets it expire later, because running jobs may use the image by its id. */
const loseName = ({ records, config }: Tools, { key }: ImageRecord) =>
  records.update(key, ({ expiration }) => ({
    tags: [],
    expiration: expiration ?? now() + config.ImageExpirationTimeout,
  }))

/** Merges records as clients see them: names of one image that the same users may use become one record. */
export function mergeNames(all: readonly ImageRecord[]): ImageRecord[] {
  const merged = new Map<string, ImageRecord>()
  for (const record of all) {
    const { type, id, isPrivate, userACL, groupACL } = record
    const lists = [userACL, groupACL].map(list => [...(list ?? [])].sort())
    const key = JSON.stringify([type, id, isPrivate && lists])
    const first = merged.get(key)
    merged.set(key, first ? { ...first, tags: [...first.tags, ...record.tags] } : record)
  }
  return [...merged.values()]
}
