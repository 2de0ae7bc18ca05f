import { setTimeout as sleep } from 'node:timers/promises'
import pRetry from 'p-retry'
import { importImage } from '../images/create.ts'
import { ImgapiError } from '../images/errors.ts'
import { type RemoteFile, readRemoteFiles, storeFetchedFile } from '../images/fetched-file.ts'
import { UUID } from '../images/fields.ts'
import { isActivated } from '../images/image.ts'
import type { Images } from '../images/images.ts'
import { activateImage } from '../images/lifecycle.ts'
import { type HttpClient, SourceError } from '../sources/http-client.ts'
import type { ImgapiSource } from '../sources/imgapi-source.ts'
import { type RetryPolicy, toRetryOptions } from '../sources/resumable.ts'
import { fetchFile, fetchOptions } from './fetch-file.ts'
import type { Job, JobStep } from './job.ts'

/** Brings an image here with all the origins that are missing, each of them complete before the next begins. */

export interface ImportTools {
  images: Images
  client: HttpClient
  retry: RetryPolicy
}

/** No chain is so long; a source that claims it is in a circle. */
const LONGEST_CHAIN = 100

type Manifest = Record<string, unknown>

export const remoteSourceError = (uuid: string, what: string, error: unknown) => {
  if (!(error instanceof SourceError)) return error
  const message = `Unable to get ${what} ${uuid}. Error from remote: ${error.message}`
  return new ImgapiError('RemoteSourceError', message, { cause: error })
}

export const getManifest = (source: ImgapiSource, uuid: string, signal?: AbortSignal): Promise<Manifest> =>
  source.getManifest(uuid, signal ? { signal } : {}).catch(error => {
    throw remoteSourceError(uuid, 'manifest for image', error)
  })

const originIsNotActive = (uuid: string) =>
  new ImgapiError('OriginIsNotActive', `origin image "${uuid}" is not active`)

/**
 * The manifests that have to come: of the image and of its origins up to one that is here. The image is last.
 * Throws RemoteSourceError or OriginIsNotActive.
 */
export async function missingManifests(
  images: Images,
  source: ImgapiSource,
  uuid: string,
  made: readonly string[],
  signal?: AbortSignal,
): Promise<Manifest[]> {
  const missing: Manifest[] = []
  for (let next: string | undefined = uuid; next !== undefined; ) {
    const here = missing.length > 0 || made.includes(next) ? await images.manifests.find(next) : undefined
    if (here && isActivated(here.image)) {
      if (missing.length > 0 && here.image.state !== 'active') throw originIsNotActive(next)
      break
    }
    if (here && !made.includes(next)) throw originIsNotActive(next)
    const manifest: Manifest = await getManifest(source, next, signal)
    if (missing.length > 0 && manifest.state !== 'active') throw originIsNotActive(next)
    missing.unshift(manifest)
    if (missing.length > LONGEST_CHAIN) {
      throw new ImgapiError(
        'RemoteSourceError',
        `image ${uuid} has more than ${LONGEST_CHAIN} origins at the source`,
      )
    }
    const { origin } = manifest
    next = typeof origin === 'string' && UUID.test(origin) ? origin : undefined
  }
  return missing
}

export interface Progress {
  /** Called after every change of the job that must survive a crash. */
  save(): Promise<void>
  /** Called for every piece that arrives. */
  moved(step: JobStep, bytes: number): void
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
  const { images } = tools
  const manifests = await pRetry(() => missingManifests(images, source, job.image_uuid, job.made, signal), {
    ...toRetryOptions(tools.retry, signal),
    shouldRetry: ({ error }) => error.cause instanceof SourceError && error.cause.isTemporary,
    onFailedAttempt: ({ error }) => progress.retried(error),
  })
  const files = new Map(manifests.map(manifest => [manifest.uuid, readRemoteFiles(manifest)]))
  const known = job.steps.filter(step => step.state === 'done')
  job.steps = [
    ...known,
    ...manifests.map(
      ({ uuid }): JobStep => ({
        uuid: String(uuid),
        state: 'waiting',
        bytes_done: 0,
        bytes_expected: files.get(uuid)!.reduce((total, file) => total + file.size, 0),
      }),
    ),
  ]
  await progress.save()
  for (const manifest of manifests) {
    const step = job.steps.find(candidate => candidate.uuid === manifest.uuid)!
    Object.assign(step, { state: 'running', started_at: images.now().toISOString() })
    await alone(images, step.uuid, signal, () =>
      importOne(tools, source, job, manifest, files.get(manifest.uuid)!, step, signal, progress),
    )
    const finished_at = images.now().toISOString()
    Object.assign(step, { state: 'done', bytes_done: step.bytes_expected, finished_at })
    await progress.save()
  }
}

/** Two jobs may need one origin: the second waits, and then finds it here. */
async function alone<T>(
  images: Images,
  uuid: string,
  signal: AbortSignal,
  run: () => Promise<T>,
): Promise<T> {
  for (;;) {
    const release = await images.locks.tryAcquire(`import ${uuid}`)
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
  if (here && !job.made.includes(uuid)) {
    throw new ImgapiError('ImageUuidAlreadyExists', `image uuid "${uuid}" already exists`)
  }
  const received = []
  let before = 0
  for (const [index, file] of files.entries()) {
    const start = before
    const name = partialName(uuid, file)
    job.partials.push(name)
    const fetched = await fetchFile(
      {
        client,
        url: source.fileUrl(uuid, index),
        size: file.size,
        sha1: file.sha1,
        signal,
        retry,
        onProgress: bytes => progress.moved(step, start + bytes),
        onRetry: error => progress.retried(error),
      },
      open => images.files.resume(name, open, fetchOptions(file.size)),
    )
    received.push({ file, fetched })
    before += file.size
  }
  const viewer = { authenticated: true, channel: job.channel }
  if (!here) {
    job.made.push(uuid)
    await progress.save()
    await importImage(images, uuid, { ...manifest, uuid }, viewer)
  }
  for (const [index, { file, fetched }] of received.entries()) {
    await storeFetchedFile(images, uuid, index, file, fetched)
  }
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
