import type { RunSummary } from './status.ts'

/** The record of a mirror, stored between runs and across restarts. */

/** An image that was imported from the source. */
export interface MirroredImage {
  /** Digest of the manifest at the source when it was last imported: local edits stay until it changes. */
  digest: string
  /** Whether it was disabled at the source. */
  disabled: boolean
  /** Whether its icon was imported. */
  icon: boolean
  /** The source has deleted it, and `onDelete` has been applied. */
  gone?: boolean
}

export interface MirrorRecord {
  /** Its URL, without credentials. */
  source: string
  images: Record<string, MirroredImage>
  /** Images of the source that were deleted here by hand, and so are not imported again. */
  removed: string[]
  /** Images whose import has begun and is not complete. */
  making: string[]
  /**
   * Set during a run until its first action: how many runs in a row before it were ended by a crash at this stage.
   */
  running?: { interruptions: number }
  last_run?: RunSummary
  /** When a run last succeeded. */
  last_success?: string
}

export const emptyRecord = (source: string): MirrorRecord => ({ source, images: {}, removed: [], making: [] })

/** Stores the records, one for each source. */
export interface MirrorStore {
  /** Returns undefined if there is no record yet. Throws OperatorError if it cannot be read. */
  load(source: string): Promise<MirrorRecord | undefined>
  /** Resolves when the record is durable. Calls during a write share the next one. */
  save(record: MirrorRecord): Promise<void>
}
