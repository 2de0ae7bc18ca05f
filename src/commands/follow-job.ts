import { setTimeout as sleep } from 'node:timers/promises'
import type { ImgapiClient } from '../client/client.ts'
import { isLive } from '../imports/jobs/job.ts'
import type { JobRecord, JobStep } from '../imports/jobs/job-record.ts'
import type { Progress, Transfer } from './progress.ts'

/** Milliseconds between two polls of a job. */
const INTERVAL = 500

interface Options {
  client: ImgapiClient
  progress: Progress
  signal: AbortSignal
}

/** Shows the progress of a job, a bar for each image, and resolves to the job when it has ended. Throws ClientError. */
export async function followJob(uuid: string, { client, progress, signal }: Options): Promise<JobRecord> {
  const transfers = new Map<string, Transfer>()
  let noted: string | undefined
  for (;;) {
    const job = await client.getJob(uuid)
    for (const step of job.images) showStep(step)
    const retry = job.last_retry?.message
    if (isLive(job) && retry !== undefined && retry !== noted) {
      noted = retry
      progress.note(`the server reports: ${retry}; it retries`)
    }
    if (!isLive(job)) {
      for (const transfer of transfers.values()) transfer.fail()
      return job
    }
    await sleep(INTERVAL, undefined, { signal })
  }

  function showStep({ uuid: image, state, bytes_done, bytes_expected }: JobStep) {
    if (state === 'waiting') return
    let transfer = transfers.get(image)
    if (!transfer) {
      transfer = progress.start(image, 'importing', bytes_expected, state === 'done' ? 0 : bytes_done)
      transfers.set(image, transfer)
    }
    if (state === 'running') transfer.update(bytes_done)
    else {
      transfer.finish('imported')
      transfers.set(image, FINISHED)
    }
  }
}

const FINISHED: Transfer = { update() {}, finish() {}, fail() {} }
