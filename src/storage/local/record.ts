import { FIELD_NAMES, FIELDS, type FieldName, isFieldName, NO_OWNER, UUID } from '../../images/fields.ts'
import { type Icon, type Image, type ImageFile, isAvailable, toManifest } from '../../images/image.ts'
import type { Document } from './document.ts'

/** Between an image and its `manifest.json`: the manifest as clients see it, and our bookkeeping under one key. */

interface Bookkeeping {
  files: { name: string; mtime: string; md5?: string }[]
  icon?: Icon
  wasActive?: true
  /** The image that this one was made from by a change of UUID, while that one may still be there. */
  replaces?: string
}

const KEY = '_imgapi'

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

/** What the folder says beyond the manifest, asked for as far as it is needed. */
export interface Folder {
  uuid: string
  /** When the manifest was last written. */
  manifestTime(): Date
  /** Size and time of another file in it, if it is there. */
  stat(name: string): { size: number; mtime: Date } | undefined
  /** The other files in it. */
  names(): string[]
  /** Hashes one of them, which must be small. */
  digest(name: string): { sha1: string; md5: string }
}

/** Fields that a client can do nothing without, but whose text is nobody's business to judge here. */
const LENIENT = new Set<FieldName>(['name', 'version', 'type', 'os'])

const DEFAULTS = { v: 2, owner: NO_OWNER, disabled: false, public: false }

/**
 * The image in a folder, whoever wrote it. Of the predecessor's manifests, nothing is taken amiss that it
 * stored: no owner, no date of publication, sizes like 3.79882274e+08, the state "activated", values that
 * our rules would refuse. Throws an error that says why the manifest cannot be served.
 */
export function fromDocument(document: Document, folder: Folder): { image: Image; replaces?: string } {
  const own = fromOwnDocument(document, folder.uuid)
  return own ? { image: own } : adopt(document, folder)
}

const OWN_STATES = new Set<unknown>(['active', 'unactivated', 'disabled'])
const isText = (value: unknown) => typeof value === 'string'

/**
 * A manifest as this server wrote it last: it was checked then, so that a hundred thousand of them need not be
 * checked again at every start (`imgapi check` does). Becomes the image in place; anything that does not look
 * like it takes the long way.
 */
function fromOwnDocument(document: Document & { [KEY]?: Bookkeeping }, uuid: string): Image | undefined {
  const { files, [KEY]: bookkeeping } = document
  if (!bookkeeping || bookkeeping.replaces || document.uuid !== uuid || !OWN_STATES.has(document.state))
    return
  const { owner, name, version, type, os } = document
  if (![owner, name, version, type, os].every(isText)) return
  if (!Array.isArray(files) || files.length !== bookkeeping.files?.length) return
  for (const key in document) if (key !== KEY && !isFieldName(key)) return
  for (const [index, file] of files.entries()) {
    if (!isText(file?.sha1) || typeof file.size !== 'number' || !isText(file.compression)) return
    Object.assign(file, bookkeeping.files[index])
  }
  if (document.icon === true && !bookkeeping.icon) return
  if (bookkeeping.icon) document.icon = bookkeeping.icon
  // The last key goes without a trace; from the middle it would cost every image a third more memory.
  delete document[KEY]
  return document as unknown as Image
}

/** The image that another program, another version or somebody's editor left. */
function adopt(document: Document, folder: Folder): { image: Image; replaces?: string } {
  const { [KEY]: bookkeeping, ...manifest } = document as Document & { [KEY]?: Bookkeeping }
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

/** The predecessor stored "activated" and left `disabled` beside "active". */
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

/** `image.gz`, whatever the compression, is the predecessor's name; others call the one large file as they like. */
function adoptedName(folder: Folder, size: number): string {
  const names = folder.names()
  if (names.includes('image.gz')) return 'image.gz'
  return names.find(name => !name.startsWith('icon.') && folder.stat(name)?.size === size) ?? 'image.gz'
}

const ICON_TYPES: Record<string, string> = {
  'icon.jpg': 'image/jpeg',
  'icon.gif': 'image/gif',
  'icon.png': 'image/png',
}

function iconOf(icon: unknown, bookkeeping: Bookkeeping | undefined, folder: Folder): Icon | undefined {
  if (bookkeeping?.icon) return bookkeeping.icon
  if (icon !== true) return undefined
  const name = Object.keys(ICON_TYPES).find(candidate => folder.stat(candidate))
  const found = name && folder.stat(name)
  if (!found) return undefined
  const { size, mtime } = found
  const contentType = ICON_TYPES[name]!
  return { name, size, ...folder.digest(name), mtime: mtime.toISOString(), contentType }
}

/** Why the image's files cannot be served, if they cannot. */
export function damageOf({ uuid, files }: Image, folder: Folder): string | undefined {
  for (const { name, size } of files) {
    const found = folder.stat(name)
    if (!found) return `the file ${name} of image ${uuid} is missing`
    if (found.size !== size) return `the file ${name} of image ${uuid} has ${found.size} bytes, not ${size}`
  }
  return undefined
}

export const isUuid = (name: string) => UUID.test(name)
