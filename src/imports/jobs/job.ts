import type { Manifest } from '../../sources/imgapi/reader.ts'
import type { SourceFileInfo } from '../../sources/resumable.ts'
import type { JobRecord, JobState, JobStep } from './job-record.ts'

/** A background import. Its record exists from the request until it is removed or expires. */

export interface Job {
  readonly uuid: string
  readonly task: 'import-remote-image' | 'import-dc-image' | 'fetch-image'
  readonly image_uuid: string
  /** The URL without credentials, for messages; `secret_source` has them, to resume after a restart. */
  readonly source: string
  secret_source: string
  readonly channel?: string | undefined
  state: JobState
  /** Number of retries. */
  retries: number
  /** How often the server ended unexpectedly while the job was running. */
  interruptions: number
  last_retry?: { message: string; at: string } | undefined
  /** Why it failed. */
  error?: { code: string; message: string } | undefined
  readonly created_at: string
  started_at?: string | undefined
  finished_at?: string | undefined
  steps: JobStep[]
  /** Unfinished images that an earlier version of this server created for this job. */
  made?: string[] | undefined
  /** Names of the partial files in the file store. */
  partials: string[]
  fetch?: FetchedImage | undefined
}

/** The image that a job of task `fetch-image` creates from the bytes at a URL. */
export interface FetchedImage {
  /** Without the fields that are computed from the bytes. */
  readonly manifest: Record<string, unknown>
  /** The URL as it was given, without user and password. */
  readonly source: string
  /** Seconds from the start of the job, restarts included, after which it fails. */
  readonly time_limit: number
  /** Size and validator of the file, once the source has answered. */
  source_file?: SourceFileInfo | undefined
  /** Boot time of this machine, in seconds since 1970: a power failure may have damaged earlier data. */
  booted_at?: number | undefined
}

/**
 * Runs a job to its end; finished steps are not repeated after a restart. Rejects with the reason of a failure.
 * `manifests`: those that the request for the job has fetched, if the job did not have to wait.
 */
export type Task = (
  job: Job,
  signal: AbortSignal,
  progress: Progress,
  manifests: readonly Manifest[],
) => Promise<void>

export interface Progress {
  /** Saves a change that must be durable before the job continues. Rejects if it cannot be written. */
  save(): Promise<void>
  /** Saves a change now or, if it cannot be written now, later. */
  note(): Promise<void>
  /** Called for every piece received: `bytes` of the step so far, `arrived` in this piece. */
  moved(step: JobStep, bytes: number, arrived: number): void
  retried(error: Error): void
}

/** Stores the records of jobs, so that they survive a restart. */
export interface JobStore {
  list(): Promise<Job[]>
  save(job: Job): Promise<void>
  /** Returns whether a record exists: it may exist although `save` failed, or be gone although `remove` failed. */
  has(uuid: string): Promise<boolean>
  remove(uuid: string): Promise<void>
  /** Removes the partial files of imports for which `isWanted` returns false. */
  sweep(isWanted: (name: string) => boolean): Promise<void>
}

export const isLive = ({ state }: Pick<Job, 'state'>) => state === 'queued' || state === 'running'

const sum = (job: Job, key: 'bytes_done' | 'bytes_expected') =>
  job.steps.reduce((total, step) => total + step[key], 0)

/** Returns the public record: our own fields, and those that clients of the reference's workflow service read. */
export function toRecord(job: Job, bytesPerSecond: number): JobRecord {
  const { uuid, task, image_uuid, source, state, retries, last_retry, interruptions, error } = job
  const { created_at, started_at, finished_at } = job
  const done = job.steps
    .filter(step => step.state === 'done')
    .map(step => ({
      name: `import image ${step.uuid}`,
      result: 'OK',
      error: '',
      started_at: step.started_at,
      finished_at: step.finished_at,
    }))
  const failed =
    error && (state === 'failed' || state === 'canceled')
      ? [{ name: task, result: '', error: `${error.code}: ${error.message}`, started_at, finished_at }]
      : []
  return {
    uuid,
    name: task,
    image_uuid,
    state,
    execution: state,
    params: { image_uuid, source },
    bytes_done: sum(job, 'bytes_done'),
    bytes_expected: sum(job, 'bytes_expected'),
    rate: Math.round(bytesPerSecond),
    retries,
    last_retry,
    interruptions,
    error,
    created_at,
    started_at,
    finished_at,
    images: job.steps,
    chain_results: [...done, ...failed],
  }
}
