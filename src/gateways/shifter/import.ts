import { enter } from './pull.ts'
import { commit, deliverMeta } from './ready.ts'
import { type ImageRecord, imageFile } from './record.ts'
import { turnOf, type Workshop } from './workshop.ts'

/** A file that is on the system already becomes an image. */

/** The unfinished copy, whose hash is not known yet. */
export const importFile = ({ key }: ImageRecord) => `import-${key}`

export async function importImage(shop: Workshop, record: ImageRecord, signal: AbortSignal) {
  const { records, platforms, groups, turns } = shop
  const { system, type, work } = record
  const platform = platforms.get(system)!
  await enter(shop, record, 'HASHING', 'Hashing image')
  const { uid, gid, filepath, userACL, groupACL } = work!
  const reader = { uid, gid, groups: uid === undefined ? [] : await groups.of(uid) }
  const id = await platform.copyIn(filepath!, importFile(record), reader, signal)
  await turns.take(turnOf(system, id), async () => {
    signal.throwIfAborted()
    const holder = records.readyById(system, id)
    if (holder && holder.type !== type) {
      throw new Error(`the same file is there as ${holder.type}:${holder.tags[0] ?? holder.id}`)
    }
    const isPrivate = userACL.length > 0 || groupACL.length > 0
    const known = await records.update(record.key, () => ({
      id,
      isPrivate,
      userACL: isPrivate ? userACL : null,
      groupACL: isPrivate ? groupACL : null,
      status: 'TRANSFER',
      message: 'Transferring image',
    }))
    await deliverMeta(shop, known, signal)
    await platform.keep(importFile(record), imageFile(known), signal)
    await commit(shop, known, 'Transferring image')
  })
}
