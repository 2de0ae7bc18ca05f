import type { Image } from './image.ts'

/** The source of an image that was received without a manifest, as stored in its traits for operators. */
export interface Provenance {
  /** The URL without user and password; empty for an upload. */
  source: string
  /** ISO time of the first request for its bytes. */
  since: string
  /** Whether the sender announced the size. */
  isSizePromised: boolean
}

const KEYS = { source: 'received_from', since: 'received_since', size: 'received_size' } as const

/** Returns the traits to store. */
export const toTraits = ({ source, since, isSizePromised }: Provenance): Record<string, unknown> => ({
  [KEYS.source]: source,
  [KEYS.since]: since,
  ...(!isSizePromised && { [KEYS.size]: 'unknown' }),
})

/** Reads the provenance from an image's traits; undefined for an image that was received with a manifest. */
export function provenanceOf({ traits }: Pick<Image, 'traits'>): Provenance | undefined {
  const { [KEYS.source]: source, [KEYS.since]: since, [KEYS.size]: size } = traits ?? {}
  if (typeof source !== 'string' || typeof since !== 'string' || Number.isNaN(Date.parse(since))) return
  return { source, since, isSizePromised: size === undefined }
}
