import { ImgapiError, imageNotFound, invalidParameter, storageIsDown } from './errors.ts'
import { UUID } from './fields.ts'
import { type Image, isActivated } from './image.ts'
import { findImage, type Images, type Policy } from './images.ts'
import type { ListQuery } from './listing.ts'
import type { Versioned } from './ports.ts'

/** Who may see and change which image (reference contract, sections 6 and 7, and our `anonymous`). */

/** On whose behalf a request is made, and where it looks. */
export interface Viewer {
  /** Came with valid credentials, or needs none here. */
  authenticated: boolean
  /** An end user; absent means the operator. Credentials and accounts have nothing to do with each other. */
  account?: string | undefined
  /** A channel's name or `*`; undefined on a server without channels. */
  channel?: string | undefined
}

/** Throws InvalidParameter. */
export function checkAccount(account: string | undefined) {
  if (account !== undefined && !UUID.test(account)) {
    throw invalidParameter('account', `invalid "account": not a UUID: "${account}"`)
  }
}

/**
 * The channel a request means: the one it names, else the default one. Servers without channels ignore the
 * parameter, since clients send it to every server. Throws ValidationFailed.
 */
export function resolveChannel(policy: Policy, given: string | undefined, everyChannel: boolean) {
  if (policy.channels.length === 0) return undefined
  if (given === '*' && everyChannel) return '*'
  const channel = given
    ? policy.channels.find(({ name }) => name === given)
    : policy.channels.find(candidate => candidate.default)
  if (channel) return channel.name
  throw new ImgapiError(
    'ValidationFailed',
    given ? `unknown channel: ${given}` : 'channel not specified and the server has no default channel',
    { errors: [{ field: 'channel', code: given ? 'Invalid' : 'MissingParameter' }] },
  )
}

/** What a list is narrowed to by the channel of the request. */
export function channelFilter(policy: Policy, { channel }: Viewer): ListQuery['channel'] {
  if (channel === undefined || channel === '*') return undefined
  return { name: channel, isDefault: defaultChannels(policy).includes(channel) }
}

/** Whether only images with `public: true` are there for this viewer. */
export const seesPublicOnly = ({ anonymous }: Policy, { authenticated }: Viewer) =>
  anonymous === 'public' && !authenticated

/** What every list is narrowed to on behalf of its viewer, whatever else it asks for. */
export const listScope = (
  policy: Policy,
  viewer: Viewer,
): Pick<ListQuery, 'account' | 'channel' | 'public'> => ({
  account: viewer.account,
  channel: channelFilter(policy, viewer),
  public: seesPublicOnly(policy, viewer) ? true : undefined,
})

/** Where images are that are older than the server's channels. */
export const defaultChannels = (policy: Policy): readonly string[] =>
  policy.channels.filter(channel => channel.default).map(({ name }) => name)

export const channelsOf = (image: Image, policy: Policy): readonly string[] =>
  image.channels ?? defaultChannels(policy)

function isVisibleToAccount(image: Image, account: string) {
  if (image.owner === account) return true
  return isActivated(image) && (image.public || (image.acl?.includes(account) ?? false))
}

/**
 * Anonymous callers get images that were activated at some time, since installed images keep needing their
 * disabled origins. In the reference's own modes they get any image whose UUID they know, as there.
 */
function isVisibleToAnonymous(image: Image, policy: Policy) {
  if (policy.anonymous === 'public' && !image.public) return false
  return policy.mode !== 'standalone' || isActivated(image)
}

/** The image if it is there for this viewer. Throws ResourceNotFound, as if it did not exist. */
export async function visibleImage(images: Images, uuid: string, viewer: Viewer): Promise<Versioned> {
  checkAccount(viewer.account)
  const found = await findImage(images, uuid)
  const { image } = found
  if (!viewer.authenticated && !isVisibleToAnonymous(image, images.policy)) throw imageNotFound(uuid)
  const { channel, account } = viewer
  const isHere = !channel || channel === '*' || channelsOf(image, images.policy).includes(channel)
  if (!isHere || (account !== undefined && !isVisibleToAccount(image, account))) {
    throw new ImgapiError('ResourceNotFound', 'image not found')
  }
  return found
}

/** The same for reading: an image whose file is lost says so, rather than failing half-way through. */
export async function readableImage(images: Images, uuid: string, viewer: Viewer): Promise<Image> {
  const { image, damage } = await visibleImage(images, uuid, viewer)
  if (damage) throw storageIsDown(damage)
  return image
}

/**
 * Whether this viewer may know of the work on an image, such as an import. The image may not be here yet, and is not
 * activated before the work is done. `isPublic`: whether it is known to become a public one.
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

/** The image if this viewer may change it. Throws ResourceNotFound or NotImageOwner. */
export async function ownImage(images: Images, uuid: string, viewer: Viewer): Promise<Image> {
  const { image } = await visibleImage(images, uuid, viewer)
  if (viewer.account !== undefined && image.owner !== viewer.account) {
    const message = `account ${viewer.account} is not the owner of image ${uuid}`
    throw new ImgapiError('NotImageOwner', message)
  }
  return image
}

/** Throws OperatorOnly. */
export function requireOperator({ account }: Viewer) {
  if (account === undefined) return
  throw new ImgapiError('OperatorOnly', 'this endpoint may only be called by an operator')
}
