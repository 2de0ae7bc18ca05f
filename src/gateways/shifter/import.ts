import { lockName, type ShifterContext } from './context.ts'
import { deliverMeta } from './deliver-meta.ts'
import { commit } from './names.ts'
import { setStatus } from './pull.ts'
import { type ImageRecord, imageFile, isSameName } from './record.ts'

/** The name of the unfinished copy, whose hash is not known yet. */
export const importFile = ({ key }: ImageRecord) => `import-${key}`

/** Imports a file of the system as an image: copies and hashes it there. Rejects with the reason for the client. */
export async function importImage(context: ShifterContext, record: ImageRecord, signal: AbortSignal) {
  const { records, platforms, groups, mutex } = context
  const { system, work } = record
  const platform = platforms.get(system)!
  await setStatus(context, record, 'HASHING', 'Hashing image')
  const { uid, gid, filepath, userACL, groupACL } = work!
  const reader = { uid, gid, groups: uid === undefined ? [] : await groups.of(uid) }
  const { id, version } = await platform.copyIn(filepath!, importFile(record), reader, signal)
  await mutex.run(lockName(system, id), async () => {
    signal.throwIfAborted()
    const other = records.readyById(system, id).find(({ format }) => format !== record.format)
    if (other && !isSameName(other, record)) {
      throw new Error(`the same file is already stored in format ${other.format}`)
    }
    const isPrivate = userACL.length > 0 || groupACL.length > 0
    const known = await records.update(record.key, () => ({
      id,
      isPrivate,
      userACL: isPrivate ? userACL : null,
      groupACL: isPrivate ? groupACL : null,
      imported: { filepath: filepath!, version },
      status: 'TRANSFER',
      message: 'Transferring image',
    }))
    await deliverMeta(context, known, signal)
    await platform.commit(importFile(record), imageFile(known), signal)
    await commit(context, known, 'Transferring image')
    if (other) await platform.remove([imageFile(other)], signal)
  })
}
