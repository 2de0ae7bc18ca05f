import type { Image } from './image.ts'

/** Where an image that came without a manifest is from, as its traits tell operators. */
export interface Provenance {
  /** The URL that it was fetched from, without user and password; empty for an upload. */
  source: string
  /** ISO time at which its first byte was asked for. */
  since: string
  /** Whether the sender said beforehand how many bytes it has. */
  isSizePromised: boolean
}

const KEYS = { source: 'received_from', since: 'received_since', size: 'received_size' } as const

export const toTraits = ({ source, since, isSizePromised }: Provenance): Record<string, unknown> => ({
  [KEYS.source]: source,
  [KEYS.since]: since,
  ...(!isSizePromised && { [KEYS.size]: 'unknown' }),
})

/** Undefined for an image that came with a manifest. */
export function provenanceOf({ traits }: Pick<Image, 'traits'>): Provenance | undefined {
  const { [KEYS.source]: source, [KEYS.since]: since, [KEYS.size]: size } = traits ?? {}
  if (typeof source !== 'string' || typeof since !== 'string' || Number.isNaN(Date.parse(since))) return
  return { source, since, isSizePromised: size === undefined }
}
