import type { Compression } from '../images/image.ts'

/** The responses of servers. Optional fields are those that other implementations omit. */

export interface RemoteFile {
  sha1: string
  size: number
  compression: Compression
  dataset_guid?: string
}

export interface RemoteImage {
  uuid: string
  name: string
  version: string
  state?: string
  owner?: string
  os?: string
  type?: string
  origin?: string
  published_at?: string
  files?: RemoteFile[]
  [field: string]: unknown
}

export interface Pong {
  ping: string
  version?: string
  imgapi?: boolean
  pid?: number
  user?: string
}

export interface Channel {
  name: string
  description?: string
  default?: boolean
}

export interface JobStep {
  uuid: string
  state: 'waiting' | 'running' | 'done'
  bytes_done: number
  bytes_expected: number
}

export interface JobRecord {
  uuid: string
  name: string
  image_uuid: string
  state: 'queued' | 'running' | 'succeeded' | 'failed' | 'canceled'
  params: { source?: string }
  bytes_done: number
  bytes_expected: number
  rate: number
  retries: number
  error?: { code: string; message: string }
  created_at: string
  started_at?: string
  finished_at?: string
  images: JobStep[]
}

/** One step of a mirror run, planned or done. */
export interface MirrorAction {
  action: 'import' | 'update' | 'disable' | 'delete' | 'skip'
  uuid: string
  name: string
  version: string
  /** Bytes of its files, for an import. */
  size?: number
  /** The fields that change. */
  fields?: string[]
  reason?: string
  result?: 'done' | 'failed' | 'skipped'
  error?: string
}

export interface MirrorPlan {
  source: string
  actions: MirrorAction[]
}

export interface MirrorRun {
  started_at: string
  finished_at: string
  state: 'succeeded' | 'failed' | 'stopped'
  error?: string
  imported: number
  updated: number
  disabled: number
  deleted: number
  failed: number
  bytes: number
}

export interface MirrorRecord {
  source: string
  state: 'idle' | 'running'
  progress?: {
    planned: number
    done: number
    bytes_expected: number
    bytes_done: number
    /** The images being fetched. */
    images: { uuid: string; name: string; bytes_done: number; bytes_expected: number }[]
  }
  last_run?: MirrorRun
  actions?: MirrorAction[]
}

/** Returns whether the job has ended, with success or without. */
export const isOver = ({ state }: JobRecord) => state !== 'queued' && state !== 'running'
