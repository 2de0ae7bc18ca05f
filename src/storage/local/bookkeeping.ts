import { isUuid } from '../../images/fields.ts'
import type { Icon } from '../../images/image.ts'
import { isObject } from '../../images/rules.ts'
import { isStoredName } from './layout.ts'
import { isAbsentOr, isMd5, isSha1, isSize, isTime } from './value-checks.ts'

/** The part of `manifest.json` under a key of its own: what the server must know of an image and clients need not. */

export interface Bookkeeping {
  files: { name: string; mtime: string; md5?: string }[]
  icon?: Icon
  wasActive?: true
  /** The image that this one replaces after a change of UUID, while its folder may still exist. */
  replaces?: string
}

/** The key of the bookkeeping in a document. */
export const KEY = '_imgapi'

/** The content types of icons, by the names of the predecessor. */
export const ICON_TYPES: Record<string, string> = {
  'icon.jpg': 'image/jpeg',
  'icon.gif': 'image/gif',
  'icon.png': 'image/png',
}

/**
 * Reads the bookkeeping of a document. A folder may have been copied from anywhere, and the bookkeeping names files that
 * are served and removed, so it throws an error for anything that this server would not have written.
 */
export function readBookkeeping(value: unknown): Bookkeeping | undefined {
  if (value === undefined) return undefined
  if (!isObject(value) || !Array.isArray(value.files)) throw new Error(`its "${KEY}" is not valid`)
  const { files, icon, replaces } = value
  for (const file of files) checkStored(file)
  if (icon !== undefined) checkIcon(icon)
  if (!isAbsentOr(replaces, isUuid)) throw new Error(`its "${KEY}" is not valid`)
  return value as unknown as Bookkeeping
}

function checkStored(file: unknown) {
  if (!isObject(file)) throw new Error(`its "${KEY}" is not valid`)
  const { name, mtime, md5 } = file
  if (!isStoredName(name)) throw new Error(`its "${KEY}" names a file ${JSON.stringify(name)}`)
  if (!isTime(mtime) || !isAbsentOr(md5, isMd5)) throw new Error(`its "${KEY}" is not valid`)
}

function checkIcon(icon: unknown) {
  checkStored(icon)
  const { size, sha1, contentType } = icon as Record<string, unknown>
  const isKnown = Object.values(ICON_TYPES).some(type => type === contentType)
  if (!isSize(size) || !isSha1(sha1) || !isKnown)
    throw new Error(`its "${KEY}" has an icon that is not valid`)
}
