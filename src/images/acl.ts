import { invalidParameter } from './errors.ts'
import { UUID } from './fields.ts'
import type { Image } from './image.ts'
import { changeImage, type Images } from './images.ts'

/** AddImageAcl and RemoveImageAcl (reference contract, 8.15): the accounts that may use a private image. */

export type AclAction = 'add' | 'remove'

/** Adds accounts to an image's ACL or removes them. Throws InvalidParameter. */
export function changeAcl(images: Images, uuid: string, action: AclAction, body: unknown): Promise<Image> {
  const accounts = readAccounts(body)
  return changeImage(images, uuid, image => withAcl(image, action, accounts))
}

/** Reads the body, an array of account UUIDs. Throws InvalidParameter. */
function readAccounts(body: unknown): string[] {
  if (!Array.isArray(body)) throw invalidParameter('acl', 'invalid image "acl" (not an array)')
  const bad = body.findIndex(item => typeof item !== 'string' || !UUID.test(item))
  if (bad === -1) return body
  throw invalidParameter('acl', `invalid image "acl" (item ${bad} is not a UUID): ${String(body[bad])}`)
}

function withAcl(image: Image, action: AclAction, accounts: string[]): Image {
  const before = image.acl ?? []
  const known = new Set(before)
  const affected = new Set(accounts.filter(account => known.has(account) === (action === 'remove')))
  if (affected.size === 0) return image
  const acl = action === 'add' ? [...known, ...affected] : before.filter(account => !affected.has(account))
  return { ...image, acl }
}
