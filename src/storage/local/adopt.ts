import { FIELD_NAMES, FIELDS, type FieldName, isFieldName, NO_OWNER } from '../../images/fields.ts'
import { type Icon, type Image, type ImageFile, isAvailable } from '../../images/image.ts'
import { type Bookkeeping, ICON_TYPES, KEY } from './bookkeeping.ts'
import type { Document } from './document.ts'
import type { Folder } from './folder.ts'

/** Fields that clients need, and whose values are accepted even if they would not pass validation today. */
const LENIENT = new Set<FieldName>(['name', 'version', 'type', 'os'])

const DEFAULTS = { v: 2, owner: NO_OWNER, disabled: false, public: false }

/**
 * Reads an image that another program, another version or an operator's editor wrote. Throws an error that says why it
 * cannot be served.
 */
export function adopt(
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
