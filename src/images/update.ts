import { type FieldError, invalidData, missingBody, validationFailed } from './errors.ts'
import { isFieldName, policyOf } from './fields.ts'
import { type Image, isActivated } from './image.ts'
import { findImage, type Images } from './images.ts'
import { requireDockerId } from './lifecycle.ts'
import { isInCircle } from './origins.ts'
import { isObject } from './rules.ts'
import { validateManifest } from './validate.ts'
import { channelsOf, type Viewer } from './visibility.ts'

/** UpdateImage (reference contract, 8.13). */

/** In the order in which the reference reports them. */
const RESTRICTED = ['state', 'error', 'billing_tags', 'traits', 'files', 'origin', 'uuid'] as const

const SUBJECT = 'invalid image update data'

/** An update may contain these digests of docker layers; no other key of a file can change. */
const FILE_DIGESTS = new Set(['digest', 'uncompressedDigest'])

function isSameFile(image: Image, files: unknown): boolean {
  const [sent] = Array.isArray(files) ? (files as unknown[]) : []
  const [stored] = image.files
  if (!isObject(sent) || !stored) return false
  return Object.entries(sent).every(
    ([key, value]) =>
      FILE_DIGESTS.has(key) || (Object.hasOwn(stored, key) && stored[key as 'sha1'] === value),
  )
}

/** Returns why the update of a restricted field is refused; undefined if it is allowed. */
function restriction(
  name: (typeof RESTRICTED)[number],
  image: Image,
  body: Record<string, unknown>,
  viewer: Viewer,
  isMendable: boolean,
) {
  if (viewer.account !== undefined) return 'Can only be updated by operators'
  if (policyOf(name).update !== 'unactivated') return undefined
  if (isActivated(image) && !(name === 'origin' && isMendable))
    return 'Can only be updated on unactivated images'
  if (name === 'files' && !isSameFile(image, body.files)) {
    return 'Can only update "digest" or "uncompressedDigest" fields on files'
  }
  return undefined
}

function checkChanges(image: Image, body: Record<string, unknown>, viewer: Viewer, isMendable: boolean) {
  const errors: FieldError[] = []
  for (const field of Object.keys(body)) {
    if (isFieldName(field) && policyOf(field).update) continue
    errors.push({ field, code: 'NotAllowed', message: 'Parameter cannot be updated' })
  }
  for (const field of RESTRICTED) {
    if (!(field in body)) continue
    const message = restriction(field, image, body, viewer, isMendable)
    if (message) errors.push({ field, code: 'NotAllowed', message })
  }
  if (errors.length > 0) throw validationFailed(errors, SUBJECT)
}

/**
 * Returns the image in another state. An operator may mark any image as failed, and undo that; a change between active
 * and disabled is the same as enabling or disabling. Throws ValidationFailed for any other change.
 */
function withState(image: Image, state: Image['state']): Image {
  if (state === image.state) return image
  if (isActivated(image)) {
    if (state === 'failed') return { ...image, state, wasActive: true }
    const { wasActive: _, error: __, ...shown } = image
    if (state === 'active' || state === 'disabled') {
      return { ...shown, state, disabled: state === 'disabled' }
    }
  } else if (state !== 'active' && state !== 'disabled') return { ...image, state }
  const message = `an image cannot go from ${image.state} to ${state} by an update`
  throw validationFailed([{ field: 'state', code: 'Invalid', message }])
}

/**
 * Returns the image with the changes of an update. `isMendable`: its origins are a circle, which another origin may end
 * even after activation. Throws ValidationFailed with every problem.
 */
export function updated(
  images: Images,
  image: Image,
  body: unknown,
  viewer: Viewer,
  isMendable = false,
): Image {
  if (!isObject(body)) throw missingBody()
  if (Object.keys(body).length === 0) {
    throw invalidData(`${SUBJECT}: no parameters provided`, [])
  }
  checkChanges(image, body, viewer, isMendable)
  const { files: _, ...changes } = body
  const { files, icon, wasActive, extra, channels, ...fields } = image
  const { mode, channels: known } = images.policy
  const rules = { mode, channels: known.length > 0 }
  // The image may be older than the server's channels, or be in channels that the server no longer has.
  const current = rules.channels ? { ...fields, channels: channelsOf(image, images.policy) } : fields
  const merged = Object.entries({ ...current, ...changes }).filter(([, value]) => value !== null)
  const { state, ...valid } = validateManifest(Object.fromEntries(merged), rules)
  const kept = Object.entries(extra ?? {}).filter(([key]) => !(key in changes))
  const next: Image = {
    ...(channels && { channels }),
    ...valid,
    state: image.state,
    files,
    icon,
    ...(wasActive && { wasActive }),
    ...(kept.length > 0 && { extra: Object.fromEntries(kept) }),
  }
  if (isActivated(next)) requireDockerId(next)
  return withState(next, state)
}

/** Updates an image, and retries if it was changed meanwhile. Throws ResourceNotFound or ValidationFailed. */
export async function updateImage(
  images: Images,
  uuid: string,
  body: unknown,
  viewer: Viewer,
): Promise<Image> {
  for (;;) {
    const current = await findImage(images, uuid)
    const isMendable = isObject(body) && 'origin' in body && (await isInCircle(images, current.image))
    const next = updated(images, current.image, body, viewer, isMendable)
    if (next.uuid !== uuid) {
      if (await images.manifests.insert(next, current)) return next
    } else if (await images.manifests.replace(next, current.revision)) return next
  }
}
