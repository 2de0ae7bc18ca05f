import type { Image } from '../../images/image.ts'
import { provenanceOf } from '../../images/provenance.ts'
import type { Job } from '../../imports/jobs/job.ts'
import { withoutCredentials } from '../../sources/http-client.ts'

/** An image as mistify-image-service shows it: always with all fields, in this order. */
export interface MistifyImage {
  id: string
  /** The URL of the fetch; empty for an upload. */
  source: string
  type: MistifyType
  comment: string
  status: 'pending' | 'downloading' | 'complete' | 'error'
  size: number
  /** Bytes; -1 if the sender did not state a size, 0 before its answer. */
  expected_size: number
  download_start: string
  download_end: string
  /** The reason of a failed fetch. An addition: the original writes it to its log only. */
  error?: string
}

export type MistifyType = 'kvm' | 'container'

/** The types of the Image API for those of this one. */
export const IMAGE_TYPES: Readonly<Record<MistifyType, Image['type']>> = { kvm: 'zvol', container: 'other' }

export const isMistifyType = (type: unknown): type is MistifyType =>
  typeof type === 'string' && Object.hasOwn(IMAGE_TYPES, type)

/** Returns the type for agents, or undefined for a type that they cannot use. */
const typeOf = (type: unknown): MistifyType | undefined =>
  type === IMAGE_TYPES.kvm ? 'kvm' : type === IMAGE_TYPES.container ? 'container' : undefined

/** The zero time of Go's `time.Time`. */
const NEVER = '0001-01-01T00:00:00Z'

/** Renders a time with nanoseconds, as the original does, from one with milliseconds. */
const timeOf = (iso: string | undefined) =>
  iso === undefined ? NEVER : new Date(iso).toISOString().replace('Z', '000000Z')

/**
 * Returns the record of an active image, or undefined for one that agents could not use: they pass the file to
 * `zfs receive` or `docker load`, and decompress only gzip. An image that was imported through this API is always
 * shown.
 */
export function fromImage(image: Image, showsSecrets: boolean): MistifyImage | undefined {
  const { uuid, files, name, version, description = '' } = image
  const type = typeOf(image.type)
  const [file] = files
  if (!type || !file) return undefined
  const provenance = provenanceOf(image)
  const isUsable = image.origin === undefined && /^(gzip|none)$/.test(file.compression)
  if (!provenance && !isUsable) return undefined
  return {
    id: uuid,
    source: shownSource(provenance?.source ?? '', showsSecrets),
    type,
    // An image that was not imported through this API has a name and a version instead of a comment.
    comment: provenance ? description : `${name} ${version}`,
    status: 'complete',
    size: file.size,
    expected_size: provenance?.isSizePromised === false ? -1 : file.size,
    download_start: timeOf(provenance?.since ?? file.mtime),
    download_end: timeOf(file.mtime),
  }
}

/** Returns the record of a fetch that is under way or has failed, or undefined for any other job. */
export function fromJob(job: Job, showsSecrets: boolean): MistifyImage | undefined {
  const { fetch, state, steps, started_at, finished_at, error } = job
  const type = typeOf(fetch?.manifest.type)
  if (!fetch || !type || !(state === 'queued' || state === 'running' || state === 'failed')) return undefined
  const { source_file, manifest } = fetch
  return {
    id: job.image_uuid,
    source: shownSource(fetch.source, showsSecrets),
    type,
    comment: typeof manifest.description === 'string' ? manifest.description : '',
    status: ({ queued: 'pending', running: 'downloading', failed: 'error' } as const)[state],
    size: steps[0]?.bytes_done ?? 0,
    expected_size: source_file ? (source_file.size ?? -1) : 0,
    download_start: timeOf(started_at),
    download_end: timeOf(finished_at),
    ...(state === 'failed' && { error: error?.message ?? 'unknown' }),
  }
}

/** Hides the parameters of a URL from anonymous callers, because a signed URL has its key there. */
const shownSource = (source: string, showsSecrets: boolean) =>
  showsSecrets || !URL.canParse(source) ? source : withoutCredentials(new URL(source))
