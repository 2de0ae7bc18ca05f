import { type FieldError, ImgapiError, missingBody, validationFailed } from './errors.ts'
import { isFieldName, policyOf } from './fields.ts'
import { type Image, isActivated } from './image.ts'
import { findImage, type Images } from './images.ts'
import { requireDockerId } from './lifecycle.ts'
import { isObject } from './rules.ts'
import { validateManifest } from './validate.ts'
import { channelsOf, type Viewer } from './visibility.ts'

/** UpdateImage (reference contract, 8.13). */

/** In the order in which the reference reports them. */
const RESTRICTED = ['state', 'error', 'billing_tags', 'traits', 'files', 'origin', 'uuid'] as const

const SUBJECT = 'invalid image update data'

/** Digests of docker layers may be sent with the file they belong to; nothing else of a file can change. */
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

function restriction(
  name: (typeof RESTRICTED)[number],
  image: Image,
  body: Record<string, unknown>,
  viewer: Viewer,
) {
  if (viewer.account !== undefined) return 'Can only be updated by operators'
  if (policyOf(name).update !== 'unactivated') return undefined
  if (isActivated(image)) return 'Can only be updated on unactivated images'
  if (name === 'files' && !isSameFile(image, body.files)) {
    return 'Can only update "digest" or "uncompressedDigest" fields on files'
  }
  return undefined
}

function checkChanges(image: Image, body: Record<string, unknown>, viewer: Viewer) {
  const errors: FieldError[] = []
  for (const field of Object.keys(body)) {
    if (isFieldName(field) && policyOf(field).update) continue
    errors.push({ field, code: 'NotAllowed', message: 'Parameter cannot be updated' })
  }
  for (const field of RESTRICTED) {
    if (!(field in body)) continue
    const message = restriction(field, image, body, viewer)
    if (message) errors.push({ field, code: 'NotAllowed', message })
  }
  if (errors.length > 0) throw validationFailed(errors, SUBJECT)
}

/**
 * An operator may mark an image that never became active as failed, and take that back; between active and
 * disabled it is the same as enabling and disabling. No other change of state exists.
 */
function withState(image: Image, state: Image['state']): Image {
  if (state === image.state) return image
  const activatedStates: Image['state'][] = ['active', 'disabled']
  if (isActivated(image) === activatedStates.includes(state)) {
    return isActivated(image) ? { ...image, state, disabled: state === 'disabled' } : { ...image, state }
  }
  const message = `an image cannot go from ${image.state} to ${state} by an update`
  throw validationFailed([{ field: 'state', code: 'Invalid', message }])
}

/** The image with the changes of an update. Throws ValidationFailed with every problem. */
export function updated(images: Images, image: Image, body: unknown, viewer: Viewer): Image {
  if (!isObject(body)) throw missingBody()
  if (Object.keys(body).length === 0) {
    throw new ImgapiError('ValidationFailed', `${SUBJECT}: no parameters provided`, { errors: [] })
  }
  checkChanges(image, body, viewer)
  const { files: _, ...changes } = body
  const { files, icon, extra, channels, ...fields } = image
  const { mode, channels: known } = images.policy
  const rules = { mode, channels: known.length > 0 }
  // The image may be older than the server's channels, or have been in some that the server has no more.
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
    ...(kept.length > 0 && { extra: Object.fromEntries(kept) }),
  }
  if (isActivated(next)) requireDockerId(next)
  return withState(next, state)
}

/** Throws OriginDoesNotExist, or ValidationFailed for an image that would become its own ancestor. */
async function checkNewOrigin(images: Images, image: Image, origin: string) {
  for (let ancestor: string | undefined = origin; ancestor; ) {
    if (ancestor === image.uuid) {
      const message = 'an image cannot be its own ancestor'
      throw validationFailed([{ field: 'origin', code: 'Invalid', message }])
    }
    const found = await images.manifests.find(ancestor)
    if (!found) {
      throw new ImgapiError('OriginDoesNotExist', `origin image "${ancestor}" does not exist`)
    }
    ancestor = found.image.origin
  }
}

export async function updateImage(
  images: Images,
  uuid: string,
  body: unknown,
  viewer: Viewer,
): Promise<Image> {
  for (;;) {
    const current = await findImage(images, uuid)
    const next = updated(images, current.image, body, viewer)
    if (next.origin !== undefined && next.origin !== current.image.origin) {
      await checkNewOrigin(images, current.image, next.origin)
    }
    if (next.uuid !== uuid) {
      if (await images.manifests.insert(next, current)) return next
    } else if (await images.manifests.replace(next, current.revision)) return next
  }
}
