import type { ImageManager } from './imagemanager.ts'
import { runProgram } from './programs.ts'
import type { Acl, ImageRecord } from './record.ts'
import type { Session } from './session.ts'

/** Access rules: admins, importers and the users of private images. */

/** Milliseconds for which the groups of a user are cached. */
const GROUPS_TTL = 60_000
/** Milliseconds for the program `id`. */
const TIMEOUT = 10_000

/** Looks up the groups of users on this host. Unknown users have none. */
export class Groups {
  readonly #cache = new Map<number, { groups: Promise<number[]>; until: number }>()

  of(uid: number): Promise<number[]> {
    const known = this.#cache.get(uid)
    if (known && known.until > Date.now()) return known.groups
    for (const [other, { until }] of this.#cache) if (until <= Date.now()) this.#cache.delete(other)
    const groups = runProgram('id', ['-G', String(uid)], { timeout: TIMEOUT }).then(({ code, stdout }) =>
      code === 0 ? stdout.trim().split(/\s+/).map(Number) : [],
    )
    this.#cache.set(uid, { groups, until: Date.now() + GROUPS_TTL })
    return groups
  }
}

/**
 * Returns whether a user may read an image. A private image is for the users in its lists; empty lists admit no user.
 */
export async function mayRead(session: Session, record: ImageRecord, groups: Groups): Promise<boolean> {
  if (!record.isPrivate) return true
  const { uid, gid } = session
  const groupACL = record.groupACL ?? []
  if (uid !== undefined && record.userACL?.includes(uid)) return true
  if (groupACL.length === 0) return false
  if (gid !== undefined && groupACL.includes(gid)) return true
  return uid !== undefined && (await groups.of(uid)).some(group => groupACL.includes(group))
}

export const isAdmin = ({ user }: Session, system: string, { Platforms }: ImageManager) =>
  Platforms[system]!.admins.includes(user)

export const mayImport = ({ user }: Session, { ImportUsers }: ImageManager) =>
  ImportUsers === 'all' || (ImportUsers !== 'none' && ImportUsers.includes(user))

/** Adds the caller to both lists; an empty list stays empty. */
export function withCaller({ userACL, groupACL }: Acl, { uid, gid }: Session): Acl {
  return { userACL: including(userACL, uid), groupACL: including(groupACL, gid) }
}

const including = (list: number[], member: number | undefined) => {
  const all = list.length > 0 && member !== undefined ? [...list, member] : list
  return [...new Set(all)]
}

export const isSameAcl = (a: Acl, { userACL, groupACL }: Access) =>
  isSameSet(a.userACL, userACL ?? []) && isSameSet(a.groupACL, groupACL ?? [])

type Access = Pick<ImageRecord, 'isPrivate' | 'userACL' | 'groupACL'>

/** Joins the access of an image's names: the users of any of them. Public if one of them is. */
export function joinAccess(all: readonly Access[]): Access {
  if (all.some(({ isPrivate }) => !isPrivate)) return { isPrivate: false, userACL: [], groupACL: [] }
  const acls = all.map(aclOf)
  const union = (list: keyof Acl) => [...new Set(acls.flatMap(acl => acl[list]))]
  return { isPrivate: true, userACL: union('userACL'), groupACL: union('groupACL') }
}

const aclOf = ({ userACL, groupACL }: Access): Acl => ({ userACL: userACL ?? [], groupACL: groupACL ?? [] })

const isSameSet = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every(member => b.includes(member))

/**
 * Returns the lists of an image that was fetched with the caller's credentials: the requested ones, or without a
 * request those of the record before and the caller, whom the registry has admitted.
 */
export function privateAcl(requested: Acl, uid: number | undefined, before: ImageRecord | undefined): Acl {
  if (requested.userACL.length > 0 || requested.groupACL.length > 0) return requested
  const known = before?.isPrivate ? aclOf(before) : undefined
  const users = [...(known?.userACL ?? []), ...(uid === undefined ? [] : [uid])]
  return { userACL: [...new Set(users)], groupACL: known?.groupACL ?? [] }
}
