import type { SourceFileInfo } from '../../sources/resumable.ts'

/** A long transfer that the server does by itself, on record from the request to its end. */

export type JobState = 'queued' | 'running' | 'succeeded' | 'failed' | 'canceled'

export interface JobStep {
  /** The image that this step brings; origins come first. */
  uuid: string
  state: 'waiting' | 'running' | 'done'
  bytes_done: number
  /** Bytes of all its files. */
  bytes_expected: number
  started_at?: string | undefined
  finished_at?: string | undefined
}

export interface Job {
  readonly uuid: string
  readonly task: 'import-remote-image' | 'import-dc-image' | 'fetch-image'
  readonly image_uuid: string
  /** Where from: without credentials for people, with them for the next start. */
  readonly source: string
  secret_source: string
  readonly channel?: string | undefined
  state: JobState
  /** How often something had to be tried again. */
  retries: number
  /** How often the server has ended in the middle of it without being asked to. */
  interruptions: number
  last_retry?: { message: string; at: string } | undefined
  /** Why it failed. */
  error?: { code: string; message: string } | undefined
  readonly created_at: string
  started_at?: string | undefined
  finished_at?: string | undefined
  steps: JobStep[]
  /** Unfinished images that an earlier version of this server has begun for this job. */
  made?: string[] | undefined
  /** Under which names the file store keeps what has arrived. */
  partials: string[]
  fetch?: FetchedImage | undefined
}

/** The image that a job of task `fetch-image` makes of the bytes at a URL. */
export interface FetchedImage {
  /** Without what only the bytes tell. */
  readonly manifest: Record<string, unknown>
  /** The URL as it was given, without user and password. */
  readonly source: string
  /** Seconds from the start of the job until it has failed, restarts included. */
  readonly time_limit: number
  /** What the source says of the file, once it has answered. */
  told?: SourceFileInfo | undefined
  /** When this machine was started, in seconds since 1970: what was written before may be torn. */
  booted_at?: number | undefined
}

/** Does a job to its end; what was done before a restart is not done again. Rejects with why it failed. */
export type Task = (job: Job, signal: AbortSignal, progress: Progress) => Promise<void>

export interface Progress {
  /** Called after a change of the job that must be on record before it goes on. Rejects if the disk does not take it. */
  save(): Promise<void>
  /** Called after a change that is worth a record: it is written now, or later if the disk does not take it now. */
  note(): Promise<void>
  /** Called for every piece that arrives: how much of the step is there, and how much came now. */
  moved(step: JobStep, bytes: number, arrived: number): void
  retried(error: Error): void
}

/** The records, which outlive a restart. */
export interface JobStore {
  list(): Promise<Job[]>
  save(job: Job): Promise<void>
  /** Whether there is a record: one may be there although `save` failed, or gone although `remove` did. */
  has(uuid: string): Promise<boolean>
  remove(uuid: string): Promise<void>
  /** Drops what files of imports nobody has on record, under names that `isWanted` does not know. */
  sweep(isWanted: (name: string) => boolean): Promise<void>
}

export const isLive = ({ state }: Pick<Job, 'state'>) => state === 'queued' || state === 'running'

const sum = (job: Job, key: 'bytes_done' | 'bytes_expected') =>
  job.steps.reduce((total, step) => total + step[key], 0)

/** The public record: our own fields, and those that clients of the reference's workflow service read. */
export function toRecord(job: Job, bytesPerSecond: number): Record<string, unknown> {
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
