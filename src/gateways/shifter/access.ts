import type { ImageManager } from './imagemanager.ts'
import { runProgram } from './programs.ts'
import type { Acl, ImageRecord } from './record.ts'
import type { Session } from './session.ts'

/** Who may do what. */

const GROUPS_KEPT = 60_000
const TIMEOUT = 10_000

/** The groups of a user on this host. Those who are not known here have none. */
export class Groups {
  readonly #found = new Map<number, { groups: Promise<number[]>; until: number }>()

  of(uid: number): Promise<number[]> {
    const known = this.#found.get(uid)
    if (known && known.until > Date.now()) return known.groups
    for (const [other, { until }] of this.#found) if (until <= Date.now()) this.#found.delete(other)
    const groups = runProgram('id', ['-G', String(uid)], { timeout: TIMEOUT }).then(({ code, stdout }) =>
      code === 0 ? stdout.trim().split(/\s+/).map(Number) : [],
    )
    this.#found.set(uid, { groups, until: Date.now() + GROUPS_KEPT })
    return groups
  }
}

/** A private image is for those in its lists; with empty ones it is for nobody. */
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

/** Those who are asked for, and the one who asks. An empty list stays empty. */
export function withAsker({ userACL, groupACL }: Acl, { uid, gid }: Session): Acl {
  return { userACL: including(userACL, uid), groupACL: including(groupACL, gid) }
}

const including = (list: number[], member: number | undefined) => {
  const all = list.length > 0 && member !== undefined ? [...list, member] : list
  return [...new Set(all)]
}

export const isSameAcl = (a: Acl, { userACL, groupACL }: Access) =>
  isSameSet(a.userACL, userACL ?? []) && isSameSet(a.groupACL, groupACL ?? [])

type Access = Pick<ImageRecord, 'isPrivate' | 'userACL' | 'groupACL'>

/** Whom an image is for that may be used under several names: everybody who may use one of them. */
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
 * The lists of an image that was fetched with somebody's credentials. Without a wish they stay as they were, and
 * whoever has shown that the registry lets them in comes in; nobody else ever does.
 */
export function privateAcl(wish: Acl, uid: number | undefined, before: ImageRecord | undefined): Acl {
  if (wish.userACL.length > 0 || wish.groupACL.length > 0) return wish
  const known = before?.isPrivate ? aclOf(before) : undefined
  const users = [...(known?.userACL ?? []), ...(uid === undefined ? [] : [uid])]
  return { userACL: [...new Set(users)], groupACL: known?.groupACL ?? [] }
}
