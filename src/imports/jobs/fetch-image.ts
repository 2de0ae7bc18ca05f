import { createHash } from 'node:crypto'
import { uptime } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { alreadyExists } from '../../images/already-exists.ts'
import { sniffCompression } from '../../images/compression.ts'
import { ImgapiError } from '../../images/errors.ts'
import { type Compression, isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import type { ReceivedFile } from '../../images/ports.ts'
import { publishReceived } from '../../images/publish.ts'
import { SourceError } from '../../sources/http-client.ts'
import { dropWhenFull, fetchFile, fetchOptions } from './fetch-file.ts'
import type { ImportContext } from './import-image.ts'
import type { FetchedImage, Job, JobStep, Progress, Task } from './job.ts'

/** Makes an image of the bytes at a URL, which come without a manifest and so without a digest. */

type FetchJob = Job & { fetch: FetchedImage }

/** The task of such jobs. The image is not there before it is complete. */
export const fetchImageTask =
  (tools: ImportContext): Task =>
  async (job, signal, progress) => {
    if (!isFetchJob(job)) throw new Error(`job ${job.uuid} does not say which image it makes`)
    const limit = limitTime(job)
    try {
      const limited = AbortSignal.any([signal, limit.signal])
      const names = [partialName(job)]
      await dropWhenFull(tools.images, names, () => fetchImage(tools, job, limited, progress))
    } finally {
      limit.clear()
    }
  }

const isFetchJob = (job: Job): job is FetchJob => job.fetch !== undefined

/** Aborted when the job has had its time, which a restart does not begin anew. */
function limitTime({ started_at = '', fetch: { time_limit } }: FetchJob) {
  const late = new AbortController()
  const left = Date.parse(started_at) + time_limit * 1000 - Date.now()
  const reason = new ImgapiError('Download', `not complete after ${time_limit} seconds`)
  const timer = setTimeout(() => late.abort(reason), Math.max(0, left))
  return { signal: late.signal, clear: () => clearTimeout(timer) }
}

async function fetchImage(tools: ImportContext, job: FetchJob, signal: AbortSignal, progress: Progress) {
  const { images } = tools
  const { image_uuid: uuid } = job
  const here = await images.manifests.find(uuid)
  // Complete before a crash that came before the record.
  if (here && isActivated(here.image)) return
  if (here) throw alreadyExists(uuid)
  const since = job.started_at!
  const bytes_done = job.steps[0]?.bytes_done ?? 0
  const bytes_expected = job.fetch.told?.size ?? 0
  job.steps = [{ uuid, state: 'running', bytes_done, bytes_expected, started_at: since }]
  const file = await receive(tools, job, signal, progress)
  const { told, manifest, source } = job.fetch
  await publishReceived(
    images,
    { ...manifest, uuid },
    { authenticated: true, channel: job.channel },
    { source, since, isSizePromised: told?.size !== undefined },
    file,
  )
  Object.assign(job.steps[0]!, {
    state: 'done',
    bytes_done: file.received.size,
    bytes_expected: file.received.size,
    finished_at: images.now().toISOString(),
  })
}

/** The bytes; begins again from the first one where the source gives no way to go on. */
async function receive(
  tools: ImportContext,
  job: FetchJob,
  signal: AbortSignal,
  progress: Progress,
): Promise<{ received: ReceivedFile; compression: Compression }> {
  const { images, retry } = tools
  const name = partialName(job)
  if (!canGoOn(job.fetch)) await startOver(images, job, name)
  job.fetch.booted_at = bootTime()
  if (!job.partials.includes(name)) job.partials.push(name)
  // Before the first byte: at a start, what no record names is swept.
  await progress.note()
  for (let attempts = 1; ; attempts++) {
    try {
      return await receiveOnce(tools, job, name, signal, progress)
    } catch (error) {
      signal.throwIfAborted()
      const { cause } = error as Error
      if (!(cause instanceof SourceError && cause.isStale) || attempts > retry.retries) throw error
      progress.retried(error as Error)
      await startOver(images, job, name)
      await sleep(Math.min(retry.firstDelay * 2 ** (attempts - 1), retry.longestDelay), undefined, { signal })
    }
  }
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
      size: fetch.told?.size,
      validator: fetch.told?.validator,
      signal,
      retry,
      // On record before the bytes that it is about.
      onAnswer: async told => {
        fetch.told = told
        step.bytes_expected = told.size ?? 0
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

/** Whether the part that is there is known to be of one version of the file, and whole. */
function canGoOn({ told, booted_at }: FetchedImage): boolean {
  const sameBoot = booted_at !== undefined && Math.abs(booted_at - bootTime()) < BOOT_TOLERANCE
  return sameBoot && told?.validator !== undefined
}

async function startOver(images: Images, { fetch }: FetchJob, name: string) {
  await images.files.forget(name)
  delete fetch.told
}

/** Seconds by which clocks may be corrected; no machine that was restarted is up again earlier. */
const BOOT_TOLERANCE = 5

/** Nobody proves these bytes by a digest, and a machine that lost power may have torn them. */
const bootTime = () => Math.round(Date.now() / 1000 - uptime())

const partialName = ({ image_uuid, source }: Job) =>
  `${image_uuid}-${createHash('sha1').update(source).digest('hex')}`
