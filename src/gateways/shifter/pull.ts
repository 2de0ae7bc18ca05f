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

/** Milliseconds for the examiner, which may read every file. */
const EXAMINER_TIMEOUT = 3600_000

/** Pulls an image from its registry to a file on a system. Rejects with the reason for the client. */
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
    await context.lanes.convert(signal, within => makeReady(context, record, found, within))
  } finally {
    await found.release()
  }
}

/** Finds the image, and fetches its layers unless the system already has the image. */
async function download(
  context: ShifterContext,
  record: ImageRecord,
  place: ImageLocation,
  credentials: string | undefined,
  signal: AbortSignal,
): Promise<FoundImage> {
  await setStatus(context, record, 'PULLING', 'Pulling image')
  const found = await context.registries.find(place, credentials, signal)
  // Check before the fetch that the image would have a user.
  aclFor(context, record, found)
  try {
    if (!(await isOnSystem(context, { ...record, id: found.id }, signal))) await found.fetch()
    return found
  } catch (error) {
    await found.release()
    throw error
  }
}

/** Converts and delivers the image, and commits the record. */
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
    const message = await deliverImage(context, known, found, signal)
    await commit(context, known, message)
  })
}

export const setStatus = (
  { records }: ShifterContext,
  { key }: ImageRecord,
  status: Status,
  message: string,
) => records.update(key, () => ({ status, message }))

/** Returns the lists for the image. Throws an error for a private image without users. */
function aclFor({ records }: ShifterContext, record: ImageRecord, { isPrivate }: FoundImage) {
  const { system, type, pulltag, work } = record
  if (!isPrivate) return { userACL: [], groupACL: [] }
  const acl = privateAcl(work!, work!.uid, records.ready({ system, type, tag: pulltag }))
  if (acl.userACL.length === 0 && acl.groupACL.length === 0) {
    throw new Error('a private image needs an allowed user, and the credential names no user id')
  }
  return acl
}

const isOnSystem = ({ platforms }: ShifterContext, record: ImageRecord, signal: AbortSignal) =>
  platforms.get(record.system)!.has([imageFile(record), metaFile(record)], signal)

/** Delivers both files, or the meta file alone if the system has the image. Returns the message of the record. */
async function deliverImage(
  context: ShifterContext,
  record: ImageRecord,
  found: FoundImage,
  signal: AbortSignal,
): Promise<string> {
  const platform = context.platforms.get(record.system)!
  const isStored = await isOnSystem(context, record, signal)
  const path = join(context.expand, `${record.key}.squashfs`)
  try {
    const leftOut = isStored ? NOTHING : await convert(context, record, found, path, signal)
    await setStatus(context, record, 'TRANSFER', 'Transferring image')
    if (!isStored) await checkSpace(platform, path, signal)
    const unreadable = await deliverMeta(context, record, signal)
    if (!isStored) await platform.deliver(path, imageFile(record), signal)
    return ['Transferring image', ...notesOn(unreadable, leftOut)].join('; ')
  } finally {
    await rm(path, { force: true })
  }
}

const NOTHING: LeftOut = { count: 0, names: [] }

/** Returns what the message of a READY image adds for users. */
function notesOn(unreadable: readonly string[], { count, names }: LeftOut): string[] {
  const more = count > names.length ? ', ...' : ''
  return [
    ...(unreadable.length > 0 ? [`the runtime cannot read some of its ${unreadable.join(', ')}`] : []),
    ...(count > 0 ? [`left out: devices and fifos, ${count} in all (${names.join(', ')}${more})`] : []),
  ]
}

/** Converts the image to a file at `path`, and has it examined. */
async function convert(
  context: ShifterContext,
  record: ImageRecord,
  found: FoundImage,
  path: string,
  signal: AbortSignal,
): Promise<LeftOut> {
  const { examiner } = context.config
  // The image may have been removed from the system since `download` skipped the fetch.
  await found.fetch()
  // The unpacked size may be several times as large, and is known only after the conversion.
  await checkFree(context.expand, found.size)
  await setStatus(context, record, 'CONVERSION', 'Converting image')
  const leftOut = await found.convert(path, signal)
  if (examiner) {
    await setStatus(context, record, 'EXAMINATION', 'Examining image')
    await examine(context, examiner, record, path, signal)
  }
  return leftOut
}

/** Runs the examiner on the files of the converted image, which are those that users will see. Throws its reason. */
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

/** Throws an error if the system has no space for the file. */
async function checkSpace(platform: Platform, path: string, signal: AbortSignal) {
  const [{ size }, free] = await Promise.all([stat(path), platform.freeSpace(signal)])
  if (size > free)
    throw new Error(`not enough space for the image: ${size} bytes are needed, ${free} are free`)
}
