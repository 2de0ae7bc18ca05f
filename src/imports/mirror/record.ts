/** What a mirror remembers from one run to the next, and over restarts. */

/** An image that came from the source and is here. */
export interface MirroredImage {
  /** Of the manifest there, as it was taken over last: what is edited here stays until something changes there. */
  digest: string
  /** Whether it was disabled there. */
  disabled: boolean
  /** Whether its icon was taken over. */
  icon: boolean
  /** The source has deleted it, and what is done about that has been done. */
  gone?: boolean
}

export interface RunSummary {
  started_at: string
  finished_at: string
  state: 'succeeded' | 'failed' | 'stopped'
  error?: string
  imported: number
  updated: number
  disabled: number
  deleted: number
  /** Images that something could not be done for. */
  failed: number
  bytes: number
}

export interface MirrorRecord {
  /** Its URL, without credentials. */
  source: string
  images: Record<string, MirroredImage>
  /** Images of the source that were deleted here by hand, and so do not come back. */
  removed: string[]
  /** Images that are on their way. */
  making: string[]
  /** While a run is under way and has done nothing yet: how many before it ended so, together with the server. */
  running?: { interruptions: number }
  last_run?: RunSummary
  /** When it was in step with the source for the last time. */
  last_success?: string
}

export const emptyRecord = (source: string): MirrorRecord => ({ source, images: {}, removed: [], making: [] })

/** The records, one for each source. */
export interface MirrorStore {
  /** Undefined if there is none yet. Throws an error for the operator if it cannot be read. */
  load(source: string): Promise<MirrorRecord | undefined>
  /** Durable when it resolves. Calls that come while one is under way share the next. */
  save(record: MirrorRecord): Promise<void>
}
