import { isUuid } from './fields.ts'
import { isObject } from './rules.ts'

/** Converts manifests of version 1, from the Dataset API before 2012, to version 2 (reference contract, 4.3). */

/** Fields that version 2 does not have, or has under another name. */
const REMOVED = new Set([
  'creator_uuid',
  'vendor_uuid',
  'creator_name',
  'cloud_name',
  'creator_admin',
  'owner_uuid',
  'platform_type',
  'created_at',
  'updated_at',
  'restricted_to_uuid',
  '_url',
])

type Manifest = Record<string, unknown>

/** Returns whether a manifest has version 1. In a manifest with `v` or `owner`, `creator_uuid` is an unknown field. */
export const isVersionOne = ({ v, owner, uuid, creator_uuid }: Manifest) =>
  v === undefined && owner === undefined && isUuid(uuid) && isUuid(creator_uuid)

/** Converts a manifest of version 1 to version 2. */
export function upgradeManifest(old: Manifest): Manifest {
  const { creator_uuid, restricted_to_uuid, created_at, published_at = created_at } = old
  const kept = Object.fromEntries(Object.entries(old).filter(([key]) => !REMOVED.has(key)))
  return {
    ...kept,
    v: 2,
    owner: creator_uuid,
    public: restricted_to_uuid === undefined,
    ...(restricted_to_uuid !== undefined && { acl: [restricted_to_uuid] }),
    disabled: old.disabled === true || old.disabled === 'true',
    ...(published_at !== undefined && { published_at: withSeconds(published_at) }),
    ...(Array.isArray(old.files) && { files: old.files.map(upgradeFile) }),
  }
}

const withSeconds = (date: unknown) =>
  typeof date === 'string' ? date.replace(/^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2})Z$/, '$1:00Z') : date

/** Adds the compression, which in version 1 is only in the file's name. */
function upgradeFile(file: unknown): unknown {
  if (!isObject(file)) return file
  const { path, url, ...kept } = file
  const name = String(path ?? url ?? '')
  const compression = name.endsWith('.bz2') ? 'bzip2' : name.endsWith('.gz') ? 'gzip' : 'none'
  return { compression, ...kept }
}
