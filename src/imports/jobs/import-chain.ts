import { type RemoteFile, readRemoteFiles } from '../../images/fetched-file.ts'
import { isActivated } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import type { Manifest } from '../../sources/imgapi/reader.ts'
import { ImgapiSource } from '../../sources/imgapi/source.ts'
import { withRetries } from '../../sources/retry.ts'
import { type ImportContext, importImageFrom } from './import-image.ts'
import type { Job, Progress, Task } from './job.ts'
import type { JobStep } from './job-record.ts'
import { getManifest, missingManifests } from './missing.ts'

/** Imports an image with all its missing origins, one after the other, origins first. */

/** Returns the task of jobs that import an image from another Image API. */
export const importTask =
  (context: ImportContext): Task =>
  (job, signal, progress, manifests) => {
    const source = new ImgapiSource(context.client, new URL(job.secret_source))
    const find = async (uuid: string) =>
      manifests.find(manifest => manifest.uuid === uuid) ?? getManifest(source, uuid, signal)
    return importChain(context, source, find, job, signal, progress)
  }

/** Runs a job to its end. After a restart of the server, finished steps are not repeated. */
async function importChain(
  context: ImportContext,
  source: ImgapiSource,
  find: (uuid: string) => Promise<Manifest>,
  job: Job,
  signal: AbortSignal,
  progress: Progress,
) {
  const { images, retry } = context
  const manifests = await withRetries(() => missingManifests(images, find, job.image_uuid), {
    retry,
    signal,
    onRetry: progress.retried,
  })
  const files = new Map(manifests.map(manifest => [manifest.uuid, readRemoteFiles(images, manifest)]))
  job.steps = planSteps(job.steps, files)
  await progress.note()
  for (const manifest of manifests) {
    const step = job.steps.find(candidate => candidate.uuid === manifest.uuid)!
    Object.assign(step, { state: 'running', started_at: images.now().toISOString() })
    await progress.note()
    await importImageFrom(context, source, {
      uuid: step.uuid,
      manifest,
      files: files.get(manifest.uuid)!,
      channel: job.channel,
      signal,
      onPartial: name => {
        if (job.partials.includes(name)) return Promise.resolve()
        job.partials.push(name)
        return progress.note()
      },
      onProgress: (bytes, arrived) => progress.moved(step, bytes, arrived),
      onRetry: error => progress.retried(error),
    })
    finishStep(step, images.now())
    await progress.note()
  }

  function planSteps(known: JobStep[], wanted: Map<string, RemoteFile[]>): JobStep[] {
    const here = known.filter(({ uuid }) => !wanted.has(uuid))
    // Imported before a crash that prevented the record, or by another import or an upload.
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

/**
 * Removes the unfinished images that an earlier version of this server created for a job. The job imports them again:
 * today an image appears only when it is complete.
 */
export async function removeUnfinished(images: Images, job: Job) {
  for (const uuid of job.made ?? []) {
    const found = await images.manifests.find(uuid)
    if (found && !isActivated(found.image)) await images.manifests.remove(uuid, found.revision)
  }
  delete job.made
}
