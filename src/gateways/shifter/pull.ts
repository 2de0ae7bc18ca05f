import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { LeftOut } from '../../layers/merge-layers.ts'
import { privateAcl } from './access.ts'
import { deliverMeta } from './deliver-meta.ts'
import { checkFree } from './disk.ts'
import { type ImageLocation, locate } from './image-name.ts'
import { commit } from './names.ts'
import type { Platform } from './platform.ts'
import { reasonOf, removeTree, runLeashed } from './programs.ts'
import { type ImageRecord, imageFile, metaFile, type Status } from './record.ts'
import { type FoundImage, turnOf, type Workshop } from './workshop.ts'

/** From the name of an image in a registry to a file on a system. */

/** Of the examiner, which may look at every file. */
const EXAMINER_TIMEOUT = 3600_000

export async function pull(
  shop: Workshop,
  record: ImageRecord,
  credentials: string | undefined,
  signal: AbortSignal,
) {
  const place = locate(record.pulltag, shop.config)
  const found = await shop.lanes.download(place.location, signal, within =>
    download(shop, record, place, credentials, within),
  )
  try {
    await shop.lanes.make(signal, within => makeReady(shop, record, found, within))
  } finally {
    await found.release()
  }
}

/** Finds the image, and fetches its layers unless the system has it already. */
async function download(
  shop: Workshop,
  record: ImageRecord,
  place: ImageLocation,
  credentials: string | undefined,
  signal: AbortSignal,
): Promise<FoundImage> {
  await enter(shop, record, 'PULLING', 'Pulling image')
  const found = await shop.registries.find(place, credentials, signal)
  // Throws for an image that would be of no use.
  aclFor(shop, record, found)
  try {
    if (!(await isOnSystem(shop, { ...record, id: found.id }, signal))) await found.fetch()
    return found
  } catch (error) {
    await found.release()
    throw error
  }
}

async function makeReady(shop: Workshop, record: ImageRecord, found: FoundImage, signal: AbortSignal) {
  const { withLabels } = shop
  await shop.turns.take(turnOf(record.system, found.id), async () => {
    signal.throwIfAborted()
    const acl = aclFor(shop, record, found)
    const known = await shop.records.update(record.key, () => ({
      id: found.id,
      isPrivate: found.isPrivate,
      image: withLabels ? found.config : { ...found.config, labels: undefined },
      ...acl,
    }))
    const message = await place(shop, known, found, signal)
    await commit(shop, known, message)
  })
}

export const enter = ({ records }: Workshop, { key }: ImageRecord, status: Status, message: string) =>
  records.update(key, () => ({ status, message }))

/** Throws an error for a private image that nobody could use. */
function aclFor({ records }: Workshop, record: ImageRecord, { isPrivate }: FoundImage) {
  const { system, type, pulltag, work } = record
  if (!isPrivate) return { userACL: [], groupACL: [] }
  const acl = privateAcl(work!, work!.uid, records.ready({ system, type, tag: pulltag }))
  if (acl.userACL.length === 0 && acl.groupACL.length === 0) {
    throw new Error('a private image needs a user whom it is for, and the credential names no user id')
  }
  return acl
}

const isOnSystem = ({ platforms }: Workshop, record: ImageRecord, signal: AbortSignal) =>
  platforms.get(record.system)!.has([imageFile(record), metaFile(record)], signal)

/** Puts both files there, or the meta file alone if the image is there. Returns the message of the record. */
async function place(
  shop: Workshop,
  record: ImageRecord,
  found: FoundImage,
  signal: AbortSignal,
): Promise<string> {
  const platform = shop.platforms.get(record.system)!
  const isThere = await isOnSystem(shop, record, signal)
  const path = join(shop.expand, `${record.key}.squashfs`)
  try {
    const left = isThere ? NOTHING : await make(shop, record, found, path, signal)
    await enter(shop, record, 'TRANSFER', 'Transferring image')
    if (!isThere) await checkSpace(platform, path, signal)
    const unreadable = await deliverMeta(shop, record, signal)
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
  shop: Workshop,
  record: ImageRecord,
  found: FoundImage,
  path: string,
  signal: AbortSignal,
): Promise<LeftOut> {
  const { examiner } = shop.config
  // For those that have gone from the system since it was looked at.
  await found.fetch()
  // What is unpacked may be several times as large, which only the end of the unpacking tells.
  await checkFree(shop.expand, found.size)
  await enter(shop, record, 'EXAMINATION', 'Examining image')
  if (examiner) {
    const leftOut = await found.convert(path, signal)
    await examine(shop, examiner, record, path, signal)
    await enter(shop, record, 'CONVERSION', 'Converting image')
    return leftOut
  }
  await enter(shop, record, 'CONVERSION', 'Converting image')
  return found.convert(path, signal)
}

/** The examiner sees the files that users will see: those of the image that was made. */
async function examine(
  { expand }: Workshop,
  examiner: string,
  { key, id }: ImageRecord,
  path: string,
  signal: AbortSignal,
) {
  const folder = join(expand, `${key}.tree`)
  const options = { timeout: EXAMINER_TIMEOUT, signal }
  try {
    const args = ['-no-progress', '-no-xattrs', '-d', folder, path]
    const unpacked = await runLeashed('unsquashfs', args, options)
    if (unpacked.code !== 0) throw new Error(`cannot unpack the image: ${reasonOf(unpacked)}`)
    const outcome = await runLeashed(examiner, [folder, id!], options)
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
