import { createHash } from 'node:crypto'
import { uptime } from 'node:os'
import { alreadyExists } from '../../images/already-exists.ts'
import { sniffCompression } from '../../images/compression.ts'
import { downloadFailed } from '../../images/errors.ts'
import { type Compression, isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import type { ReceivedFile } from '../../images/ports.ts'
import { publishReceived } from '../../images/publish.ts'
import { operator } from '../../images/visibility.ts'
import { isStale, withRetries } from '../../sources/retry.ts'
import { dropWhenFull, fetchFile, fetchOptions } from './fetch-file.ts'
import type { ImportContext } from './import-image.ts'
import type { FetchedImage, Job, Progress, Task } from './job.ts'
import type { JobStep } from './job-record.ts'

/**
 * Creates an image from the bytes at a URL. The source has no manifest for them, so there is no digest to verify.
 */

type FetchJob = Job & { fetch: FetchedImage }

/** Returns the task of these jobs. The image appears only when it is complete. */
export const fetchImageTask =
  (context: ImportContext): Task =>
  async (job, signal, progress) => {
    if (!isFetchJob(job)) throw new Error(`job ${job.uuid} has no description of the image to create`)
    const limit = limitTime(job)
    try {
      const limited = AbortSignal.any([signal, limit.signal])
      const names = [partialName(job)]
      await dropWhenFull(context.images, names, () => fetchImage(context, job, limited, progress))
    } finally {
      limit.clear()
    }
  }

const isFetchJob = (job: Job): job is FetchJob => job.fetch !== undefined

/** Returns a signal that aborts when the time limit of the job has passed. A restart does not reset the limit. */
function limitTime({ started_at = '', fetch: { time_limit } }: FetchJob) {
  const late = new AbortController()
  const left = Date.parse(started_at) + time_limit * 1000 - Date.now()
  const reason = downloadFailed(`not complete after ${time_limit} seconds`)
  const timer = setTimeout(() => late.abort(reason), Math.max(0, left))
  return { signal: late.signal, clear: () => clearTimeout(timer) }
}

async function fetchImage(context: ImportContext, job: FetchJob, signal: AbortSignal, progress: Progress) {
  const { images } = context
  const { image_uuid: uuid } = job
  const here = await images.manifests.find(uuid)
  // Completed before a crash that prevented the record.
  if (here && isActivated(here.image)) return
  if (here) throw alreadyExists(uuid)
  const since = job.started_at!
  const bytes_done = job.steps[0]?.bytes_done ?? 0
  const bytes_expected = job.fetch.source_file?.size ?? 0
  job.steps = [{ uuid, state: 'running', bytes_done, bytes_expected, started_at: since }]
  const file = await receive(context, job, signal, progress)
  const { source_file, manifest, source } = job.fetch
  await publishReceived(
    images,
    { ...manifest, uuid },
    operator(job.channel),
    { source, since, isSizePromised: source_file?.size !== undefined },
    file,
  )
  Object.assign(job.steps[0]!, {
    state: 'done',
    bytes_done: file.received.size,
    bytes_expected: file.received.size,
    finished_at: images.now().toISOString(),
  })
}

/** Fetches the bytes. Restarts from the first byte if the source offers no way to resume. */
async function receive(
  context: ImportContext,
  job: FetchJob,
  signal: AbortSignal,
  progress: Progress,
): Promise<{ received: ReceivedFile; compression: Compression }> {
  const { images, retry } = context
  const name = partialName(job)
  if (!canResume(job.fetch)) await restart(images, job, name)
  job.fetch.booted_at = bootTime()
  if (!job.partials.includes(name)) job.partials.push(name)
  // Save the name before the first byte: at startup, partial files without a record are removed.
  await progress.note()
  return withRetries(() => receiveOnce(context, job, name, signal, progress), {
    retry,
    signal,
    isRetried: isStale,
    onRetry: async error => {
      progress.retried(error)
      await restart(images, job, name)
    },
  })
}

async function receiveOnce(
  { images, client, retry }: ImportContext,
  { fetch, steps, secret_source }: FetchJob,
  name: string,
  signal: AbortSignal,
  progress: Progress,
) {
  const step: JobStep = steps[0]!
  let compression: Compression = 'none'
  const received = await fetchFile(
    {
      client,
      url: new URL(secret_source),
      size: fetch.source_file?.size,
      validator: fetch.source_file?.validator,
      signal,
      retry,
      // Save the validator before the bytes that it belongs to.
      onAnswer: async info => {
        fetch.source_file = info
        step.bytes_expected = info.size ?? 0
        await progress.save()
      },
      onProgress: (bytes, arrived) => progress.moved(step, bytes, arrived),
      onRetry: error => progress.retried(error),
    },
    open =>
      images.files.resume(
        name,
        open,
        fetchOptions(images, undefined, head => {
          compression = sniffCompression(head)
        }),
      ),
  )
  return { received, compression }
}

/** Returns whether the partial file is intact and of a known version of the source's file. */
function canResume({ source_file, booted_at }: FetchedImage): boolean {
  const sameBoot = booted_at !== undefined && Math.abs(booted_at - bootTime()) < BOOT_TOLERANCE
  return sameBoot && source_file?.validator !== undefined
}

async function restart(images: Images, { fetch }: FetchJob, name: string) {
  await images.files.forget(name)
  delete fetch.source_file
}

/** Seconds of tolerance for corrections of the clock. A reboot always takes longer. */
const BOOT_TOLERANCE = 5

/**
 * Returns the time of the last boot, in seconds since 1970. A partial file from before it is not resumed: a power failure
 * may have damaged it, and there is no digest that would detect it.
 */
const bootTime = () => Math.round(Date.now() / 1000 - uptime())

const partialName = ({ image_uuid, source }: Job) =>
  `${image_uuid}-${createHash('sha1').update(source).digest('hex')}`
