import type { Image } from '../../images/image.ts'
import { provenanceOf } from '../../images/provenance.ts'
import type { Job } from '../../imports/jobs/job.ts'
import { withoutCredentials } from '../../sources/http-client.ts'

/** An image as mistify-image-service shows it: all fields always there, in its order. */
export interface MistifyImage {
  id: string
  /** The URL it was fetched from; empty for an upload. */
  source: string
  type: MistifyType
  comment: string
  status: 'pending' | 'downloading' | 'complete' | 'error'
  size: number
  /** -1 if the sender did not say, 0 before it could. */
  expected_size: number
  download_start: string
  download_end: string
  /** Why a fetch failed; only then. Ours: the original told it to its log alone. */
  error?: string
}

export type MistifyType = 'kvm' | 'container'

/** As what the Image API knows them. */
export const IMAGE_TYPES: Readonly<Record<MistifyType, Image['type']>> = { kvm: 'zvol', container: 'other' }

export const isMistifyType = (type: unknown): type is MistifyType =>
  typeof type === 'string' && Object.hasOwn(IMAGE_TYPES, type)

/** Undefined for types that no agent of mistify can use. */
const typeOf = (type: unknown): MistifyType | undefined =>
  type === IMAGE_TYPES.kvm ? 'kvm' : type === IMAGE_TYPES.container ? 'container' : undefined

/** The zero time of Go's `time.Time`. */
const NEVER = '0001-01-01T00:00:00Z'

/** With nanoseconds, of which ours has milliseconds. */
const timeOf = (iso: string | undefined) =>
  iso === undefined ? NEVER : new Date(iso).toISOString().replace('Z', '000000Z')

/**
 * An active image. Undefined for one that an agent could not use: it passes what it gets to `zfs receive` or
 * `docker load`, and unpacks nothing but gzip. What was brought here for agents is theirs in any case.
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
    // Who made it for others calls it by name.
    comment: provenance ? description : `${name} ${version}`,
    status: 'complete',
    size: file.size,
    expected_size: provenance?.isSizePromised === false ? -1 : file.size,
    download_start: timeOf(provenance?.since ?? file.mtime),
    download_end: timeOf(file.mtime),
  }
}

/** A fetch that is under way or has failed. Undefined for other jobs, and for one that is over. */
export function fromJob(job: Job, showsSecrets: boolean): MistifyImage | undefined {
  const { fetch, state, steps, started_at, finished_at, error } = job
  const type = typeOf(fetch?.manifest.type)
  if (!fetch || !type || !(state === 'queued' || state === 'running' || state === 'failed')) return undefined
  const { told, manifest } = fetch
  return {
    id: job.image_uuid,
    source: shownSource(fetch.source, showsSecrets),
    type,
    comment: typeof manifest.description === 'string' ? manifest.description : '',
    status: ({ queued: 'pending', running: 'downloading', failed: 'error' } as const)[state],
    size: steps[0]?.bytes_done ?? 0,
    expected_size: told ? (told.size ?? -1) : 0,
    download_start: timeOf(started_at),
    download_end: timeOf(finished_at),
    ...(state === 'failed' && { error: error?.message ?? 'unknown' }),
  }
}

/** A signed URL has its key in a parameter. */
const shownSource = (source: string, showsSecrets: boolean) =>
  showsSecrets || !URL.canParse(source) ? source : withoutCredentials(new URL(source))
