import {
  imageNotFound,
  invalidData,
  invalidParameter,
  notFound,
  notImageOwner,
  operatorOnly,
  storageIsDown,
} from './errors.ts'
import { UUID } from './fields.ts'
import { type Image, isActivated } from './image.ts'
import { findImage, type Images, type Policy } from './images.ts'
import type { ListQuery } from './listing.ts'
import type { Versioned } from './ports.ts'

/** Which viewers may see and change which images (reference contract, sections 6 and 7, and our `anonymous`). */

/** The caller of a request, and the channel that it selects. */
export interface Viewer {
  /** The request has valid credentials, or the server requires none. */
  authenticated: boolean
  /** An end user; absent means the operator. Accounts are independent of credentials. */
  account?: string | undefined
  /** A channel's name or `*`; undefined on a server without channels. */
  channel?: string | undefined
}

/** Returns the operator as a viewer, for images that the server creates or changes by itself. */
export const operator = (channel?: string): Viewer => ({ authenticated: true, channel })

/** Throws InvalidParameter if an account is not a UUID. */
export function checkAccount(account: string | undefined) {
  if (account !== undefined && !UUID.test(account)) {
    throw invalidParameter('account', `invalid "account": not a UUID: "${account}"`)
  }
}

/**
 * Returns the channel of a request: the one it names, or else the default one. Servers without channels ignore the
 * parameter, since clients send it to every server. Throws ValidationFailed.
 */
export function resolveChannel(policy: Policy, given: string | undefined, everyChannel: boolean) {
  if (policy.channels.length === 0) return undefined
  if (given === '*' && everyChannel) return '*'
  const channel = given
    ? policy.channels.find(({ name }) => name === given)
    : policy.channels.find(candidate => candidate.default)
  if (channel) return channel.name
  throw invalidData(
    given ? `unknown channel: ${given}` : 'channel not specified and the server has no default channel',
    [{ field: 'channel', code: given ? 'Invalid' : 'MissingParameter' }],
  )
}

/** Returns the filter of a list for the channel of the request. */
export function channelFilter(policy: Policy, { channel }: Viewer): ListQuery['channel'] {
  if (channel === undefined || channel === '*') return undefined
  return { name: channel, isDefault: defaultChannels(policy).includes(channel) }
}

/** Returns whether this viewer sees only images with `public: true`. */
export const seesPublicOnly = ({ anonymous }: Policy, { authenticated }: Viewer) =>
  anonymous === 'public' && !authenticated

/** Returns the filters that apply to every list for this viewer. */
export const listScope = (
  policy: Policy,
  viewer: Viewer,
): Pick<ListQuery, 'account' | 'channel' | 'public'> => ({
  account: viewer.account,
  channel: channelFilter(policy, viewer),
  public: seesPublicOnly(policy, viewer) ? true : undefined,
})

/** Returns the channels of images without the field, which are older than the server's channels. */
export const defaultChannels = (policy: Policy): readonly string[] =>
  policy.channels.filter(channel => channel.default).map(({ name }) => name)

/** Returns the channels of an image. */
export const channelsOf = (image: Image, policy: Policy): readonly string[] =>
  image.channels ?? defaultChannels(policy)

function isVisibleToAccount(image: Image, account: string) {
  if (image.owner === account) return true
  return isActivated(image) && (image.public || (image.acl?.includes(account) ?? false))
}

/**
 * Returns whether an anonymous caller may read the image: in mode standalone any image that has been activated, since
 * installed images still need their disabled origins; in the reference's modes any image, as in the reference.
 */
function isVisibleToAnonymous(image: Image, policy: Policy) {
  if (policy.anonymous === 'public' && !image.public) return false
  return policy.mode !== 'standalone' || isActivated(image)
}

/** Returns the image if this viewer may see it. Otherwise throws ResourceNotFound, as if it did not exist. */
export async function visibleImage(images: Images, uuid: string, viewer: Viewer): Promise<Versioned> {
  checkAccount(viewer.account)
  const found = await findImage(images, uuid)
  const { image } = found
  if (!viewer.authenticated && !isVisibleToAnonymous(image, images.policy)) throw imageNotFound(uuid)
  const { channel, account } = viewer
  const isInChannel = !channel || channel === '*' || channelsOf(image, images.policy).includes(channel)
  if (!isInChannel || (account !== undefined && !isVisibleToAccount(image, account))) {
    throw notFound('image not found')
  }
  return found
}

/** Does the same for reading, and throws StorageIsDown for a damaged image before a response is started. */
export async function readableImage(images: Images, uuid: string, viewer: Viewer): Promise<Image> {
  const { image, damage } = await visibleImage(images, uuid, viewer)
  if (damage) throw storageIsDown(damage)
  return image
}

/**
 * Returns whether this viewer may see work on an image, such as an import. The image may not exist yet, and is not
 * activated before the work is done. `isPublic`: whether it is known that the image will be public.
 */
export async function isVisibleWork(
  images: Images,
  uuid: string,
  viewer: Viewer,
  isPublic = false,
): Promise<boolean> {
  const { account } = viewer
  checkAccount(account)
  const isPublicOnly = seesPublicOnly(images.policy, viewer)
  if (!isPublicOnly && account === undefined) return true
  const image = (await images.manifests.find(uuid))?.image
  if (isPublicOnly && !(image?.public ?? isPublic)) return false
  return !image || account === undefined || isVisibleToAccount(image, account)
}

/** Returns the image if this viewer may change it. Throws ResourceNotFound or NotImageOwner. */
export async function ownImage(images: Images, uuid: string, viewer: Viewer): Promise<Image> {
  const { image } = await visibleImage(images, uuid, viewer)
  if (viewer.account !== undefined && image.owner !== viewer.account) {
    const message = `account ${viewer.account} is not the owner of image ${uuid}`
    throw notImageOwner(message)
  }
  return image
}

/** Throws OperatorOnly if the viewer is an account. */
export function requireOperator({ account }: Viewer) {
  if (account === undefined) return
  throw operatorOnly()
}
