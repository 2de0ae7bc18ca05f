import { FIELD_NAMES, FIELDS, type FieldName, isFieldName, NO_OWNER, UUID } from '../../images/fields.ts'
import { type Icon, type Image, type ImageFile, isActivated, toManifest } from '../../images/image.ts'
import type { Document } from './document.ts'

/** Between an image and its `manifest.json`: the manifest as clients see it, and our bookkeeping under one key. */

interface Bookkeeping {
  files: { name: string; mtime: string; md5?: string }[]
  icon?: Icon
  /** The image that this one was made from by a change of UUID, while that one may still be there. */
  replaces?: string
}

const KEY = '_imgapi'

export function toDocument(image: Image, replaces?: string): Document {
  const manifest = toManifest(image, { operatorFields: true, channels: true, adminFields: false })
  const bookkeeping: Bookkeeping = {
    files: image.files.map(({ name, mtime, md5 }) => ({ name, mtime, ...(md5 && { md5 }) })),
    ...(image.icon && { icon: image.icon }),
    ...(replaces && { replaces }),
  }
  return { ...manifest, ...(image.error && { error: image.error }), [KEY]: bookkeeping }
}

/** What the folder says beyond the manifest, needed for images that another program put there. */
export interface Folder {
  uuid: string
  /** When the manifest was last written. */
  manifestTime: Date
  /** The other files in it, with their sizes. */
  entries: ReadonlyMap<string, { size: number; mtime: Date }>
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
    ...(isActivated({ state }) && { published_at: fields.published_at ?? folder.manifestTime.toISOString() }),
    files: filesOf(manifest.files, bookkeeping, folder),
    icon: iconOf(manifest.icon, bookkeeping, folder),
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
    const mtime = known?.mtime ?? (folder.entries.get(name)?.mtime ?? folder.manifestTime).toISOString()
    return { ...file, name, mtime, md5: known?.md5 }
  })
}

/** `image.gz`, whatever the compression, is the predecessor's name; others call the one large file as they like. */
function adoptedName({ entries }: Folder, size: number): string {
  if (entries.has('image.gz')) return 'image.gz'
  const bySize = [...entries].filter(([name, entry]) => entry.size === size && !name.startsWith('icon.'))
  return bySize[0]?.[0] ?? 'image.gz'
}

const ICON_TYPES: Record<string, string> = {
  'icon.jpg': 'image/jpeg',
  'icon.gif': 'image/gif',
  'icon.png': 'image/png',
}

function iconOf(icon: unknown, bookkeeping: Bookkeeping | undefined, folder: Folder): Icon | undefined {
  const { entries } = folder
  if (bookkeeping?.icon) return bookkeeping.icon
  if (icon !== true) return undefined
  const name = Object.keys(ICON_TYPES).find(candidate => entries.has(candidate))
  if (!name) return undefined
  const { size, mtime } = entries.get(name)!
  const contentType = ICON_TYPES[name]!
  return { name, size, ...folder.digest(name), mtime: mtime.toISOString(), contentType }
}

/** Why the image's files cannot be served, if they cannot. */
export function damageOf({ uuid, files }: Image, entries: Folder['entries']): string | undefined {
  for (const { name, size } of files) {
    const entry = entries.get(name)
    if (!entry) return `the file ${name} of image ${uuid} is missing`
    if (entry.size !== size) return `the file ${name} of image ${uuid} has ${entry.size} bytes, not ${size}`
  }
  return undefined
}

export const isUuid = (name: string) => UUID.test(name)
