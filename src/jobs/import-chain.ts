import { setTimeout as sleep } from 'node:timers/promises'
import { alreadyExists, importImage } from '../images/create.ts'
import { type RemoteFile, readRemoteFiles, storeFetchedFile } from '../images/fetched-file.ts'
import { isActivated } from '../images/image.ts'
import type { Images } from '../images/images.ts'
import { activateImage } from '../images/lifecycle.ts'
import type { HttpClient } from '../sources/http-client.ts'
import type { ImgapiSource } from '../sources/imgapi-source.ts'
import { type RetryPolicy, withRetries } from '../sources/resumable.ts'
import { fetchFile, fetchOptions } from './fetch-file.ts'
import type { Job, JobStep } from './job.ts'
import { beginImport, getManifest, type Manifest, missingManifests } from './missing.ts'

/** Brings an image here with all the origins that are missing, each of them complete before the next begins. */

export interface ImportTools {
  images: Images
  client: HttpClient
  retry: RetryPolicy
}

export interface Progress {
  /** Called after every change of the job that must survive a crash. */
  save(): Promise<void>
  /** Called for every piece that arrives: how much of the step is there, and how much came now. */
  moved(step: JobStep, bytes: number, arrived: number): void
  retried(error: Error): void
}

/** Runs a job to its end; what was done before a restart is not done again. */
export async function importChain(
  tools: ImportTools,
  source: ImgapiSource,
  job: Job,
  signal: AbortSignal,
  progress: Progress,
) {
  const { images, retry } = tools
  const manifests = await withRetries(
    () => missingManifests(images, uuid => getManifest(source, uuid, signal), job.image_uuid, job.made),
    { retry, signal, onRetry: progress.retried },
  )
  const files = new Map(manifests.map(manifest => [manifest.uuid, readRemoteFiles(images, manifest)]))
  job.steps = planSteps(job.steps, files)
  await progress.save()
  for (const manifest of manifests) {
    const step = job.steps.find(candidate => candidate.uuid === manifest.uuid)!
    Object.assign(step, { state: 'running', started_at: images.now().toISOString() })
    await alone(images, step.uuid, signal, () =>
      importOne(tools, source, job, manifest, files.get(manifest.uuid)!, step, signal, progress),
    )
    finishStep(step, images.now())
    await progress.save()
  }

  function planSteps(known: JobStep[], wanted: Map<string, RemoteFile[]>): JobStep[] {
    const here = known.filter(({ uuid }) => !wanted.has(uuid))
    // Brought before a crash that came before the record, or by somebody else.
    for (const step of here) if (step.state !== 'done') finishStep(step, images.now())
    const missing = [...wanted].map(
      ([uuid, remote]): JobStep => ({
        uuid,
        state: 'waiting',
        bytes_done: 0,
        bytes_expected: remote.reduce((total, file) => total + file.size, 0),
      }),
    )
    return [...here, ...missing]
  }
}

function finishStep(step: JobStep, now: Date) {
  Object.assign(step, { state: 'done', bytes_done: step.bytes_expected, finished_at: now.toISOString() })
}

/** Two jobs may need one origin: the second waits, and then finds it here. */
async function alone<T>(
  images: Images,
  uuid: string,
  signal: AbortSignal,
  run: () => Promise<T>,
): Promise<T> {
  for (;;) {
    const release = await beginImport(images, uuid)
    if (!release) {
      await sleep(200, undefined, { signal })
      continue
    }
    try {
      return await run()
    } finally {
      release()
    }
  }
}

async function importOne(
  { images, client, retry }: ImportTools,
  source: ImgapiSource,
  job: Job,
  manifest: Manifest,
  files: RemoteFile[],
  step: JobStep,
  signal: AbortSignal,
  progress: Progress,
) {
  const { uuid } = step
  const here = await images.manifests.find(uuid)
  if (here && isActivated(here.image)) return
  if (here && !job.made.includes(uuid)) throw alreadyExists(uuid)
  const received = []
  let before = 0
  for (const [index, file] of files.entries()) {
    const start = before
    before += file.size
    // Stored before the server was stopped.
    if (here?.image.files[index]?.sha1 === file.sha1) continue
    const name = partialName(uuid, file)
    if (!job.partials.includes(name)) {
      job.partials.push(name)
      // On record before the first byte: at a start, what no record names is swept.
      await progress.save()
    }
    const fetched = await fetchFile(
      {
        client,
        url: source.fileUrl(uuid, index),
        size: file.size,
        sha1: file.sha1,
        signal,
        retry,
        onProgress: (bytes, arrived) => progress.moved(step, start + bytes, arrived),
        onRetry: error => progress.retried(error),
      },
      open => images.files.resume(name, open, fetchOptions(images, file.size)),
    )
    received.push({ index, file, fetched })
  }
  const viewer = { authenticated: true, channel: job.channel }
  if (!here) {
    job.made.push(uuid)
    await progress.save()
    await importImage(images, uuid, manifest, viewer)
  }
  for (const { index, file, fetched } of received) await storeFetchedFile(images, uuid, index, file, fetched)
  await activateImage(images, uuid)
  job.made = job.made.filter(other => other !== uuid)
}

/** The same bytes asked for again, by this job or another, go on where the last attempt ended. */
const partialName = (uuid: string, { sha1 }: RemoteFile) => `${uuid}-${sha1}`

/** After a failure or a cancel: an image that was made and not finished goes; complete origins stay. */
export async function removeUnfinished(images: Images, job: Job) {
  for (const uuid of job.made) {
    const found = await images.manifests.find(uuid)
    if (found && !isActivated(found.image)) await images.manifests.remove(uuid, found.revision)
  }
  job.made = []
}
