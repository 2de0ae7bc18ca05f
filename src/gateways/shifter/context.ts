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

/** The configuration and services that the operations of the gateway share. */
export interface ShifterContext {
  config: ImageManager
  records: Records
  platforms: ReadonlyMap<string, Platform>
  registries: Registries
  groups: Groups
  metrics: Metrics | undefined
  authenticate: Authenticate
  log: Logger
  /** Folder of the files under construction. */
  expand: string
  /** Serializes work on one image of one system, by `lockName`. */
  mutex: KeyedMutex
  /** The queues of downloads and conversions. */
  lanes: Lanes
  /** Seconds for which a failed pull is reported before the same request starts it again. */
  retryAfter: number
  /** Show the labels of images to clients. */
  withLabels: boolean
  /** Write the lists of private images to the meta files that the runtime reads. */
  withAcl: boolean
}

/** An image in a registry, before its layers are fetched. */
export interface FoundImage {
  /** SHA-256 of the manifest that the tag names, in hexadecimal. */
  id: string
  /** Whether the registry required credentials. */
  isPrivate: boolean
  config: ImageConfig
  /** Bytes of its layers, compressed as in the registry. */
  size: number
  /** Fetches its layers, once, until the signal of `find` fires. */
  fetch(): Promise<void>
  /** Converts its layers to one squashfs file at `path`. Resolves to the entries that the file leaves out. */
  convert(path: string, signal: AbortSignal): Promise<LeftOut>
  /** Releases its layers. */
  release(): Promise<void>
}

/** The registries that images are pulled from. */
export interface Registries {
  /**
   * Finds an image. `credentials`: `user:password`, sent only if the registry requires them. Rejects with the reason.
   */
  find(location: ImageLocation, credentials: string | undefined, signal: AbortSignal): Promise<FoundImage>
  close(): Promise<void>
}

/** The key of an image on a system in `mutex`. */
export const lockName = (system: string, id: string) => `${system}/${id}`
