import { imageNotShared, invalidData, invalidParameter, notImplemented, validationFailed } from './errors.ts'
import { NO_OWNER, UUID } from './fields.ts'
import { duplicateStored } from './files.ts'
import { type Image, isAvailable } from './image.ts'
import { findImage, type Images } from './images.ts'
import { LONGEST_CHAIN, tooManyOrigins } from './origins.ts'
import { type ArrivedFile, insertActive } from './publish.ts'

/** CloneImage, in a datacenter: copies an image for an account that it is shared with (contract, 8.18). */

/** Returns the image and its origins, up to the first one that every account may use. Throws ValidationFailed. */
async function cloneableChain(images: Images, image: Image): Promise<Image[]> {
  const chain = [image]
  for (let { origin } = image; origin !== undefined; ) {
    if (chain.length === LONGEST_CHAIN) throw tooManyOrigins(image.uuid)
    const { image: parent } = await findImage(images, origin)
    if (parent.owner === NO_OWNER || parent.owner === images.policy.adminUuid) break
    chain.push(parent)
    origin = parent.origin
  }
  return chain
}

/** Returns the account. Throws if it may not clone the image, or if the image cannot be cloned. */
function checkCloneable(image: Image, account: string | undefined): string {
  if (account === undefined || !UUID.test(account)) {
    throw invalidParameter('account', `invalid "account": not a UUID: "${account}"`)
  }
  const refuse = (field: string, message: string) => {
    throw invalidData(message, [{ field, code: 'Invalid', message }])
  }
  if (!isAvailable(image)) refuse('active', 'image is not active')
  if (!image.acl?.includes(account)) {
    const message = `Image ${image.uuid} is not shared with account ${account}`
    throw imageNotShared(message)
  }
  if (image.type === 'docker') refuse('type', 'docker images cannot be cloned')
  if (image.files.length > 1) {
    throw notImplemented('cannot clone an image with multiple files')
  }
  if (image.files.length === 0) throw validationFailed([{ field: 'files', code: 'MissingParameter' }])
  return account
}

/** Copies an image and those of its origins that belong to other accounts. Returns the copy. */
export async function cloneImage(images: Images, image: Image, account: string | undefined): Promise<Image> {
  const owner = checkCloneable(image, account)
  const chain = await cloneableChain(images, image)
  const made: string[] = []
  let origin = chain.at(-1)!.origin
  let clone: Image | undefined
  try {
    for (const source of chain.reverse()) {
      clone = await cloneOne(images, source, owner, origin, source !== image, made)
      origin = clone.uuid
    }
  } catch (error) {
    // The client does not know the UUIDs of the copies. A copy that cannot be removed is at least a complete image.
    for (const uuid of made.reverse()) await removeClone(images, uuid).catch(() => {})
    throw error
  }
  return clone!
}

async function cloneOne(
  images: Images,
  source: Image,
  owner: string,
  origin: string | undefined,
  isOrigin: boolean,
  made: string[],
): Promise<Image> {
  const { acl: _, icon: __, published_at: ___, ...kept } = source
  const uuid = images.newUuid()
  const blank: Image = { ...kept, uuid, owner, origin, files: [], state: 'unactivated', disabled: isOrigin }
  made.push(uuid)
  const copies: ArrivedFile[] = []
  return insertActive(images, copies, async () => {
    for (const file of source.files) {
      copies.push({ ...file, received: await duplicateStored(images, source.uuid, file) })
    }
    return blank
  })
}

async function removeClone(images: Images, uuid: string) {
  const found = await images.manifests.find(uuid)
  if (found) await images.manifests.remove(uuid, found.revision)
}
