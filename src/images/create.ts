import { alreadyExists } from './already-exists.ts'
import { invalidData, invalidParameter, originDoesNotExist } from './errors.ts'
import { NO_OWNER, UUID } from './fields.ts'
import { removeSuperseded } from './files.ts'
import type { Image } from './image.ts'
import type { Images } from './images.ts'
import { readManifest, sortFields } from './intake.ts'
import { validateManifest } from './validate.ts'
import { checkAccount, operator, requireOperator, type Viewer } from './visibility.ts'

/** CreateImage and AdminImportImage (reference contract, 8.11 and 10.1). */

async function checkOrigin(images: Images, origin: unknown) {
  if (origin === undefined) return
  if (typeof origin === 'string' && UUID.test(origin) && (await images.manifests.find(origin))) return
  throw originDoesNotExist(origin)
}

/** Makes a validated image without files, in the channel of the request. Stores nothing. Throws ValidationFailed. */
function newImage(images: Images, fields: Record<string, unknown>, { channel }: Viewer): Image {
  const manifest = validateManifest(
    {
      disabled: false,
      public: false,
      ...fields,
      ...(channel && { channels: [channel] }),
      state: 'unactivated',
    },
    { mode: images.policy.mode, channels: channel !== undefined },
  )
  return { ...manifest, files: [], icon: undefined }
}

/** Creates an unactivated image with a new UUID. The owner defaults to the account, or to NO_OWNER. */
export async function createImage(images: Images, body: unknown, viewer: Viewer): Promise<Image> {
  const { account } = viewer
  checkAccount(account)
  const manifest = readManifest(body)
  const owner = manifest.owner ?? account ?? NO_OWNER
  if (account !== undefined && owner !== account) {
    const message = `invalid owner: given owner, "${owner}", does not match account, "${account}"`
    throw invalidParameter('owner', message)
  }
  if ('state' in manifest) {
    throw invalidData('invalid image data: "state"', [
      { field: 'state', code: 'NotAllowed', message: 'Parameter cannot be set' },
    ])
  }
  await checkOrigin(images, manifest.origin)
  const { fields } = sortFields(manifest, 'create')
  const image = newImage(images, { v: 2, ...fields, owner, uuid: images.newUuid() }, viewer)
  await images.manifests.insert(image)
  return image
}

/**
 * Makes the image for a manifest of another server or a builder, without storing it. Keeps the UUID, the date of
 * publication and unknown fields. Throws ImageUuidAlreadyExists, OriginDoesNotExist or ValidationFailed.
 */
export async function importedImage(
  images: Images,
  uuid: string,
  body: unknown,
  viewer: Viewer,
): Promise<Image> {
  requireOperator(viewer)
  const manifest = readManifest(body)
  if (manifest.uuid !== uuid) {
    throw invalidParameter('uuid', `URL UUID, "${uuid}" and body UUID, "${manifest.uuid}" do not match`)
  }
  if (manifest.published_at !== undefined && typeof manifest.published_at !== 'string') {
    throw invalidParameter('published_at', 'invalid "published_at"')
  }
  const existing = await images.manifests.find(uuid)
  if (existing && existing.image.state !== 'creating') throw alreadyExists(uuid, existing.image)
  await checkOrigin(images, manifest.origin)
  return describeImport(images, manifest, viewer)
}

/** Stores an imported image, which stays unactivated until its file is added. Throws as `importedImage` does. */
export async function importImage(
  images: Images,
  uuid: string,
  body: unknown,
  viewer: Viewer,
): Promise<Image> {
  const image = await importedImage(images, uuid, body, viewer)
  const existing = await images.manifests.find(uuid)
  if (!existing) {
    await images.manifests.insert(image)
    return image
  }
  // Replace the placeholder in state `creating` with the real manifest.
  const isPlaceholder = existing.image.state === 'creating'
  if (!isPlaceholder || !(await images.manifests.replace(image, existing.revision))) throw alreadyExists(uuid)
  await removeSuperseded(images, existing.image, image)
  return image
}

/** Validates a manifest as `importImage` does, before a long import starts. The origin may be imported later. */
export function checkImport(images: Images, manifest: Record<string, unknown>, channel?: string) {
  describeImport(images, manifest, operator(channel))
}

function describeImport(images: Images, manifest: Record<string, unknown>, viewer: Viewer): Image {
  const { fields, extra } = sortFields(manifest, 'import')
  const image = newImage(images, { ...fields, owner: importedOwner(images, fields.owner) }, viewer)
  return Object.keys(extra).length > 0 ? { ...image, extra } : image
}

/** Returns the owner of an imported image: NO_OWNER on public and private servers, which have no accounts. */
export function importedOwner({ policy }: Images, owner: unknown) {
  if (policy.mode === 'public' || policy.mode === 'private') return NO_OWNER
  const given = owner ?? NO_OWNER
  return policy.mode === 'dc' && given === NO_OWNER ? (policy.adminUuid ?? NO_OWNER) : given
}
