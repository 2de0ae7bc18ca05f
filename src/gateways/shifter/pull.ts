import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { LeftOut } from '../../layers/merge-layers.ts'
import { privateAcl } from './access.ts'
import { type FoundImage, lockName, type ShifterContext } from './context.ts'
import { deliverMeta } from './deliver-meta.ts'
import { checkFree } from './disk.ts'
import { type ImageLocation, locate } from './image-name.ts'
import { commit } from './names.ts'
import type { Platform } from './platform.ts'
import { reasonOf, removeTree, runSupervised } from './programs.ts'
import { type ImageRecord, imageFile, metaFile, type Status } from './record.ts'

/** From the name of an image in a registry to a file on a system. */

/** Of the examiner, which may look at every file. */
const EXAMINER_TIMEOUT = 3600_000

export async function pull(
  context: ShifterContext,
  record: ImageRecord,
  credentials: string | undefined,
  signal: AbortSignal,
) {
  const place = locate(record.pulltag, context.config)
  const found = await context.lanes.download(place.location, signal, within =>
    download(context, record, place, credentials, within),
  )
  try {
    await context.lanes.make(signal, within => makeReady(context, record, found, within))
  } finally {
    await found.release()
  }
}

/** Finds the image, and fetches its layers unless the system has it already. */
async function download(
  context: ShifterContext,
  record: ImageRecord,
  place: ImageLocation,
  credentials: string | undefined,
  signal: AbortSignal,
): Promise<FoundImage> {
  await enter(context, record, 'PULLING', 'Pulling image')
  const found = await context.registries.find(place, credentials, signal)
  // Throws for an image that would be of no use.
  aclFor(context, record, found)
  try {
    if (!(await isOnSystem(context, { ...record, id: found.id }, signal))) await found.fetch()
    return found
  } catch (error) {
    await found.release()
    throw error
  }
}

async function makeReady(
  context: ShifterContext,
  record: ImageRecord,
  found: FoundImage,
  signal: AbortSignal,
) {
  const { withLabels } = context
  await context.mutex.run(lockName(record.system, found.id), async () => {
    signal.throwIfAborted()
    const acl = aclFor(context, record, found)
    const known = await context.records.update(record.key, () => ({
      id: found.id,
      isPrivate: found.isPrivate,
      image: withLabels ? found.config : { ...found.config, labels: undefined },
      ...acl,
    }))
    const message = await place(context, known, found, signal)
    await commit(context, known, message)
  })
}

export const enter = ({ records }: ShifterContext, { key }: ImageRecord, status: Status, message: string) =>
  records.update(key, () => ({ status, message }))

/** Throws an error for a private image that nobody could use. */
function aclFor({ records }: ShifterContext, record: ImageRecord, { isPrivate }: FoundImage) {
  const { system, type, pulltag, work } = record
  if (!isPrivate) return { userACL: [], groupACL: [] }
  const acl = privateAcl(work!, work!.uid, records.ready({ system, type, tag: pulltag }))
  if (acl.userACL.length === 0 && acl.groupACL.length === 0) {
    throw new Error('a private image needs a user whom it is for, and the credential names no user id')
  }
  return acl
}

const isOnSystem = ({ platforms }: ShifterContext, record: ImageRecord, signal: AbortSignal) =>
  platforms.get(record.system)!.has([imageFile(record), metaFile(record)], signal)

/** Puts both files there, or the meta file alone if the image is there. Returns the message of the record. */
async function place(
  context: ShifterContext,
  record: ImageRecord,
  found: FoundImage,
  signal: AbortSignal,
): Promise<string> {
  const platform = context.platforms.get(record.system)!
  const isThere = await isOnSystem(context, record, signal)
  const path = join(context.expand, `${record.key}.squashfs`)
  try {
    const left = isThere ? NOTHING : await make(context, record, found, path, signal)
    await enter(context, record, 'TRANSFER', 'Transferring image')
    if (!isThere) await checkSpace(platform, path, signal)
    const unreadable = await deliverMeta(context, record, signal)
    if (!isThere) await platform.deliver(path, imageFile(record), signal)
    return ['Transferring image', ...notesOn(unreadable, left)].join('; ')
  } finally {
    await rm(path, { force: true })
  }
}

const NOTHING: LeftOut = { count: 0, names: [] }

/** What users should know of an image that is ready. */
function notesOn(unreadable: readonly string[], { count, names }: LeftOut): string[] {
  const more = count > names.length ? ', ...' : ''
  return [
    ...(unreadable.length > 0 ? [`the runtime cannot read some of its ${unreadable.join(', ')}`] : []),
    ...(count > 0 ? [`left out: devices and fifos, ${count} in all (${names.join(', ')}${more})`] : []),
  ]
}

async function make(
  context: ShifterContext,
  record: ImageRecord,
  found: FoundImage,
  path: string,
  signal: AbortSignal,
): Promise<LeftOut> {
  const { examiner } = context.config
  // For those that have gone from the system since it was looked at.
  await found.fetch()
  // What is unpacked may be several times as large, which only the end of the unpacking tells.
  await checkFree(context.expand, found.size)
  await enter(context, record, 'EXAMINATION', 'Examining image')
  if (examiner) {
    const leftOut = await found.convert(path, signal)
    await examine(context, examiner, record, path, signal)
    await enter(context, record, 'CONVERSION', 'Converting image')
    return leftOut
  }
  await enter(context, record, 'CONVERSION', 'Converting image')
  return found.convert(path, signal)
}

/** The examiner sees the files that users will see: those of the image that was made. */
async function examine(
  { expand }: ShifterContext,
  examiner: string,
  { key, id }: ImageRecord,
  path: string,
  signal: AbortSignal,
) {
  const folder = join(expand, `${key}.tree`)
  const options = { timeout: EXAMINER_TIMEOUT, signal }
  try {
    const args = ['-no-progress', '-no-xattrs', '-d', folder, path]
    const unpacked = await runSupervised('unsquashfs', args, options)
    if (unpacked.code !== 0) throw new Error(`cannot unpack the image: ${reasonOf(unpacked)}`)
    const outcome = await runSupervised(examiner, [folder, id!], options)
    if (outcome.code !== 0) throw new Error(`the examiner refuses the image: ${reasonOf(outcome)}`)
  } finally {
    await removeTree(folder)
  }
}

async function checkSpace(platform: Platform, path: string, signal: AbortSignal) {
  const [{ size }, free] = await Promise.all([stat(path), platform.freeSpace(signal)])
  if (size > free)
    throw new Error(`there is not enough space for the image: it has ${size} bytes, ${free} are free`)
}
