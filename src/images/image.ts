import type { COMPRESSIONS, ManifestFields } from './fields.ts'

export type Compression = (typeof COMPRESSIONS)[number]

/** A stored file of an image. */
export interface StoredFile {
  /** The name, unique among the files of the image. */
  readonly name: string
  readonly size: number
  /** Lower-case hex. */
  readonly sha1: string
  /** Lower-case hex; absent for large and adopted files, whose md5 is computed later. */
  readonly md5?: string | undefined
  /** ISO time of the upload. */
  readonly mtime: string
}

export interface ImageFile extends StoredFile {
  readonly compression: Compression
  readonly dataset_guid?: string | undefined
}

export interface Icon extends StoredFile {
  readonly contentType: string
}

/**
 * An image: its typed manifest and its stored files. Immutable: every change makes a new object.
 */
export type Image = Omit<ManifestFields, 'files' | 'icon'> & {
  readonly files: readonly ImageFile[]
  readonly icon?: Icon | undefined
  /** Set on a failed image that was active before: its file cannot change, and it remains readable. */
  readonly wasActive?: true | undefined
  /** Unknown fields of an imported manifest, as of a newer server: stored and sent unchanged. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}

/** Returns whether the image can be installed; a disabled one can, by its UUID. */
export const isAvailable = ({ state }: Pick<Image, 'state'>) => state === 'active' || state === 'disabled'

/**
 * Returns whether the image has been activated, so that its files can no longer change. This includes images that an
 * operator marked as failed afterwards.
 */
export const isActivated = (image: Pick<Image, 'state' | 'wasActive'>) =>
  isAvailable(image) || image.wasActive === true

/** Which fields of a manifest are shown. */
export interface View {
  /** `billing_tags` and `traits`, which public servers never show. */
  operatorFields: boolean
  /** `channels` appeared with version 2 of the API and broke clients of version 1 that saw it. */
  channels: boolean
  /** The channels shown for images without the field, which are older than the server's channels. */
  defaultChannels?: readonly string[]
  /** `files[].stor`, for `inclAdminFields=true`. */
  adminFields: boolean
}

const nonEmpty = <T extends object>(value: T | undefined) =>
  value && Object.keys(value).length > 0 ? value : undefined

/** Renders the public manifest, in the reference's key order (contract, section 4.2). */
export function toManifest(image: Image, view: View): Record<string, unknown> {
  const files = image.files.map(({ sha1, size, compression, dataset_guid }) => ({
    sha1,
    size,
    compression,
    ...(dataset_guid !== undefined && { dataset_guid }),
    ...(view.adminFields && { stor: 'local' }),
  }))
  const shown = {
    v: image.v,
    uuid: image.uuid,
    owner: image.owner,
    name: image.name,
    version: image.version,
    state: image.state,
    disabled: image.disabled,
    public: image.public,
    published_at: image.published_at,
    type: image.type,
    os: image.os,
    files,
    acl: nonEmpty(image.acl),
    description: image.description || undefined,
    homepage: image.homepage,
    eula: image.eula,
    icon: image.icon ? true : undefined,
    urn: image.urn,
    requirements: image.requirements,
    users: image.users,
    generate_passwords: image.generate_passwords,
    inherited_directories: image.inherited_directories,
    origin: image.origin,
    nic_driver: image.nic_driver,
    disk_driver: image.disk_driver,
    cpu_type: image.cpu_type,
    image_size: image.image_size || undefined,
    tags: image.tags,
    billing_tags: view.operatorFields ? nonEmpty(image.billing_tags) : undefined,
    traits: view.operatorFields ? nonEmpty(image.traits) : undefined,
    error: image.state === 'failed' ? image.error : undefined,
    channels: view.channels ? (image.channels ?? view.defaultChannels) : undefined,
  }
  const manifest = Object.fromEntries(Object.entries(shown).filter(([, value]) => value !== undefined))
  return image.extra ? { ...manifest, ...image.extra } : manifest
}
