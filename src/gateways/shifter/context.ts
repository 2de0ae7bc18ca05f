import type { Logger } from 'pino'
import type { LeftOut } from '../../layers/merge-layers.ts'
import type { KeyedMutex } from '../../util/keyed-mutex.ts'
import type { Groups } from './access.ts'
import type { ImageLocation } from './image-name.ts'
import type { ImageManager } from './imagemanager.ts'
import type { Lanes } from './lanes.ts'
import type { Metrics } from './metrics.ts'
import type { Platform } from './platform.ts'
import type { ImageConfig } from './record.ts'
import type { Records } from './records.ts'
import type { Authenticate } from './session.ts'

/** What the work of the gateway is done with. */
export interface ShifterContext {
  config: ImageManager
  records: Records
  platforms: ReadonlyMap<string, Platform>
  registries: Registries
  groups: Groups
  metrics: Metrics | undefined
  authenticate: Authenticate
  log: Logger
  /** Folder of files that are being made. */
  expand: string
  /** Work on one image of one system waits for each other. */
  mutex: KeyedMutex
  /** Where pulls wait for their turn. */
  lanes: Lanes
  /** Seconds for which a failed pull is answered as such before the same request tries again. */
  retryAfter: number
  withLabels: boolean
  /** Write the lists of private images where the runtime reads them. */
  withAcl: boolean
}

/** An image in a registry, before its layers are fetched. */
export interface FoundImage {
  /** SHA-256 of what the tag names, in hexadecimal. */
  id: string
  /** Whether it took credentials to find it. */
  isPrivate: boolean
  config: ImageConfig
  /** Bytes of its layers as the registry has them. */
  size: number
  /** Fetches its layers, once, until the signal of `find` fires. */
  fetch(): Promise<void>
  /** Makes one file of squashfs of its layers, at `path`. Resolves to what of them is not in it. */
  convert(path: string, signal: AbortSignal): Promise<LeftOut>
  /** Lets go of its layers. */
  release(): Promise<void>
}

/** Where images come from. */
export interface Registries {
  /** `credentials`: `user:password`, sent only if it does not work without. Throws an error with the reason. */
  find(location: ImageLocation, credentials: string | undefined, signal: AbortSignal): Promise<FoundImage>
  close(): Promise<void>
}

/** The turn of an image on a system. */
export const lockName = (system: string, id: string) => `${system}/${id}`
