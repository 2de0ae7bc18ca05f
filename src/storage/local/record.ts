import type { Stats } from 'node:fs'
import {
  COMPRESSIONS,
  FIELD_NAMES,
  FIELDS,
  type FieldName,
  isFieldName,
  isUuid,
  NO_OWNER,
} from '../../images/fields.ts'
import { type Icon, type Image, type ImageFile, isAvailable, toManifest } from '../../images/image.ts'
import { isObject } from '../../images/rules.ts'
import { irregularity } from '../../util/regular-file.ts'
import type { Document } from './document.ts'
import { isStoredName } from './layout.ts'

/** Converts between an image and its `manifest.json`: the public manifest, and our bookkeeping under one key. */

interface Bookkeeping {
  files: { name: string; mtime: string; md5?: string }[]
  icon?: Icon
  wasActive?: true
  /** The image that this one replaces after a change of UUID, while its folder may still exist. */
  replaces?: string
}

const KEY = '_imgapi'

/** Renders an image as the document to store. `replaces`: the UUID of the image that it replaces. */
export function toDocument(image: Image, replaces?: string): Document {
  const manifest = toManifest(image, { operatorFields: true, channels: true, adminFields: false })
  const bookkeeping: Bookkeeping = {
    files: image.files.map(({ name, mtime, md5 }) => ({ name, mtime, ...(md5 && { md5 }) })),
    ...(image.icon && { icon: image.icon }),
    ...(image.wasActive && { wasActive: image.wasActive }),
    ...(replaces && { replaces }),
  }
  return { ...manifest, ...(image.error && { error: image.error }), [KEY]: bookkeeping }
}

/** Access to an image's folder beyond its manifest, read only as far as necessary. */
export interface Folder {
  uuid: string
  /** When the manifest was last written. */
  manifestTime(): Date
  /** Returns the stats of another file, without following a link. */
  stat(name: string): Stats | undefined
  /** Returns the names of the files other than the manifest. */
  names(): string[]
  /** Hashes a file, which must be small. */
  digest(name: string): { sha1: string; md5: string }
}

/** Fields that clients need, and whose values are accepted even if they would not pass validation today. */
const LENIENT = new Set<FieldName>(['name', 'version', 'type', 'os'])

const DEFAULTS = { v: 2, owner: NO_OWNER, disabled: false, public: false }

/**
 * Reads the image of a folder that any program may have written. Accepts what the predecessor stored: no owner, no date
 * of publication, sizes like 3.79882274e+08, the state "activated", values that our rules would refuse. Throws an
 * error that says why the manifest cannot be served.
 */
export function fromDocument(document: Document, folder: Folder): { image: Image; replaces?: string } {
  const bookkeeping = readBookkeeping(document[KEY])
  const own = bookkeeping && fromOwnDocument(document, bookkeeping, folder.uuid)
  return own ? { image: own } : adopt(document, bookkeeping, folder)
}

const isText = (value: unknown) => typeof value === 'string'
const isFlag = (value: unknown) => typeof value === 'boolean'
const isTexts = (value: unknown) => Array.isArray(value) && value.every(isText)
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/
const isTime = (value: unknown) => isText(value) && TIME.test(value as string)
const isSize = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0
const isHex = (digits: number) => {
  const pattern = new RegExp(`^[0-9a-f]{${digits}}$`)
  return (value: unknown) => isText(value) && pattern.test(value as string)
}
const isSha1 = isHex(40)
const isMd5 = isHex(32)

/**
 * Reads the bookkeeping of a document. A folder may have been copied from anywhere, and the bookkeeping names files that
 * are served and removed, so it throws an error for anything that this server would not have written.
 */
function readBookkeeping(value: unknown): Bookkeeping | undefined {
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

const isAbsentOr = (value: unknown, fits: (value: unknown) => boolean) => value === undefined || fits(value)

/** Returns whether the fields that lists and rules rely on have the expected types. */
const isWellFormed = (document: Document) =>
  isSize(document.v) &&
  isUuid(document.owner) &&
  isText(document.name) &&
  isText(document.version) &&
  isText(document.type) &&
  isText(document.os) &&
  OWN_STATES.has(document.state) &&
  isFlag(document.disabled) &&
  isFlag(document.public) &&
  isAbsentOr(document.published_at, isTime) &&
  isAbsentOr(document.origin, isUuid) &&
  isAbsentOr(document.acl, isTexts) &&
  isAbsentOr(document.channels, isTexts) &&
  isAbsentOr(document.billing_tags, isTexts) &&
  isAbsentOr(document.tags, isObject)

const OWN_STATES = new Set<unknown>(['active', 'unactivated', 'disabled'])
const COMPRESSION_NAMES = new Set<unknown>(COMPRESSIONS)

/**
 * Reads a document that this server wrote. It was validated then, so a hundred thousand of them need not be validated
 * again at every start (`imgapi check` does that). Turns the document into the image in place. Returns undefined for
 * any other document, which `adopt` reads.
 */
function fromOwnDocument(document: Document, bookkeeping: Bookkeeping, uuid: string): Image | undefined {
  const { files } = document
  if (bookkeeping.replaces || document.uuid !== uuid || !isWellFormed(document)) return
  if (!Array.isArray(files) || files.length !== bookkeeping.files.length) return
  for (const key in document) if (key !== KEY && !isFieldName(key)) return
  for (const [index, file] of files.entries()) {
    if (!isSha1(file?.sha1) || !isSize(file.size) || !COMPRESSION_NAMES.has(file.compression)) return
    const { name, mtime, md5 } = bookkeeping.files[index]!
    Object.assign(file, { name, mtime, ...(md5 && { md5 }) })
  }
  if (document.icon === true && !bookkeeping.icon) return
  if (bookkeeping.icon) document.icon = bookkeeping.icon
  // Deleting the last key is free; deleting one in the middle would cost a third more memory for each image.
  delete document[KEY]
  return document as unknown as Image
}

/** Reads an image that another program, another version or an operator's editor wrote. */
function adopt(
  document: Document,
  bookkeeping: Bookkeeping | undefined,
  folder: Folder,
): { image: Image; replaces?: string } {
  const { [KEY]: _, ...manifest } = document
  const fields: Record<string, unknown> = {}
  const extra: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(manifest)) {
    if (value === null || key === 'files' || key === 'icon' || key === 'state') continue
    if (!isFieldName(key)) extra[key] = value
    else {
      const result = FIELDS[key].rule.safeParse(value)
      if (result.success) fields[key] = result.data
      else if (LENIENT.has(key) && typeof value === 'string') fields[key] = value
      else if (key in DEFAULTS || LENIENT.has(key) || key === 'uuid')
        throw new Error(`its "${key}" is not valid`)
      else extra[key] = value
    }
  }
  const uuid = fields.uuid ?? folder.uuid
  if (uuid !== folder.uuid) throw new Error(`it is the manifest of image ${uuid}`)
  const missing = FIELD_NAMES.filter(name => LENIENT.has(name) && fields[name] === undefined)
  if (missing.length > 0) throw new Error(`it has no "${missing.join('", "')}"`)
  const state = stateOf(manifest)
  const image = {
    ...DEFAULTS,
    ...fields,
    uuid,
    state,
    disabled: state === 'disabled' || fields.disabled === true,
    ...(isAvailable({ state }) && {
      published_at: fields.published_at ?? folder.manifestTime().toISOString(),
    }),
    files: filesOf(manifest.files, bookkeeping, folder),
    icon: iconOf(manifest.icon, bookkeeping, folder),
    ...(state === 'failed' && bookkeeping?.wasActive && { wasActive: bookkeeping.wasActive }),
    ...(Object.keys(extra).length > 0 && { extra }),
  } as unknown as Image
  return { image, ...(bookkeeping?.replaces && { replaces: bookkeeping.replaces }) }
}

/** Returns the state. The predecessor stored "activated", and left `disabled` set beside "active". */
function stateOf({ state, disabled }: Document): Image['state'] {
  if (state === undefined || state === null || state === 'unactivated') return 'unactivated'
  if (state === 'creating' || state === 'failed') return state
  if (state === 'active' || state === 'activated' || state === 'disabled') {
    return state === 'disabled' || disabled === true ? 'disabled' : 'active'
  }
  throw new Error(`its state is ${JSON.stringify(state)}`)
}

function filesOf(files: unknown, bookkeeping: Bookkeeping | undefined, folder: Folder): ImageFile[] {
  if (files === undefined || files === null) return []
  const result = FIELDS.files.rule.safeParse(files)
  if (!result.success) throw new Error('its "files" are not valid')
  return result.data.map((file, index) => {
    const known = bookkeeping?.files[index]
    const name = known?.name ?? adoptedName(folder, file.size)
    const mtime = known?.mtime ?? (folder.stat(name)?.mtime ?? folder.manifestTime()).toISOString()
    return { ...file, name, mtime, md5: known?.md5 }
  })
}

/** Finds the image file: `image.gz` of the predecessor, whatever the compression, or else a file of that size. */
function adoptedName(folder: Folder, size: number): string {
  const names = folder.names()
  if (names.includes('image.gz')) return 'image.gz'
  const fits = (name: string) => {
    const found = folder.stat(name)
    return found?.isFile() && found.size === size
  }
  return names.find(name => !name.startsWith('icon.') && fits(name)) ?? 'image.gz'
}

/** Bytes of the largest adopted icon; a larger file is ignored. */
export const LARGEST_ICON = 1024 * 1024

const ICON_TYPES: Record<string, string> = {
  'icon.jpg': 'image/jpeg',
  'icon.gif': 'image/gif',
  'icon.png': 'image/png',
}

function iconOf(icon: unknown, bookkeeping: Bookkeeping | undefined, folder: Folder): Icon | undefined {
  if (bookkeeping?.icon) return bookkeeping.icon
  if (icon !== true) return undefined
  const name = Object.keys(ICON_TYPES).find(candidate => folder.stat(candidate))
  if (name === undefined) return undefined
  const found = folder.stat(name)
  if (!found?.isFile() || found.size > LARGEST_ICON) return undefined
  const { size, mtime } = found
  const contentType = ICON_TYPES[name]!
  return { name, size, ...folder.digest(name), mtime: mtime.toISOString(), contentType }
}

/** Returns why the image's files cannot be served; undefined if they can. */
export function damageOf({ uuid, files }: Image, folder: Folder): string | undefined {
  for (const { name, size } of files) {
    const found = folder.stat(name)
    if (!found) return `the file ${name} of image ${uuid} is missing`
    const problem = irregularity(found)
    if (problem) return `the file ${name} of image ${uuid} ${problem}`
    if (found.size !== size) return `the file ${name} of image ${uuid} has ${found.size} bytes, not ${size}`
  }
  return undefined
}
