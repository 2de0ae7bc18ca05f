import { z } from 'zod'
import { isVisibleWork, visibleImage } from '../../images/visibility.ts'
import type { Job } from '../../imports/jobs/job.ts'
import { JobRecordSchema } from '../../imports/jobs/job-record.ts'
import { jobNotFound } from '../../imports/jobs/jobs.ts'
import type { ApiRequest } from '../api-request.ts'
import { operation } from '../operation.ts'
import { text } from '../parameters.ts'

const JOBS = { 200: { description: 'the jobs, the newest first', schema: z.array(JobRecordSchema) } }
const JOB = { 200: { description: 'the job', schema: JobRecordSchema } }

/** Returns the jobs that the caller may see. Jobs do not belong to channels. */
async function visibleJobs({ service, caller, query }: ApiRequest, jobs: readonly Job[]): Promise<Job[]> {
  const viewer = { authenticated: caller.authenticated, account: query.get('account') }
  const verdicts = await Promise.all(
    jobs.map(({ image_uuid, fetch }) =>
      isVisibleWork(service.images, image_uuid, viewer, fetch?.manifest.public === true),
    ),
  )
  return jobs.filter((_, index) => verdicts[index])
}

export const listJobs = operation({
  name: 'ListJobs',
  method: 'GET',
  path: '/jobs',
  access: 'change',
  summary: 'Lists the imports that run, wait or are over.',
  parameters: { state: text('queued, running, succeeded, failed or canceled') },
  answers: JOBS,
  async handle({ request, service: { jobs }, parameters: { state } }) {
    const found = jobs.list().filter(job => state === undefined || job.state === state)
    return request.json((await visibleJobs(request, found)).map(job => jobs.record(job)))
  },
})

/** Allowed to callers that may read the image: the operator CLI polls it without credentials. */
export const getJob = operation({
  name: 'GetJob',
  method: 'GET',
  path: '/jobs/:uuid',
  access: 'read',
  summary: 'Returns a job with its progress.',
  answers: JOB,
  async handle({ request, service: { jobs } }) {
    const uuid = request.uuid()
    const [job] = await visibleJobs(request, [jobs.find(uuid)])
    if (!job) throw jobNotFound(uuid)
    return request.json(jobs.record(job))
  },
})

export const cancelJob = operation({
  name: 'CancelJob',
  method: 'DELETE',
  path: '/jobs/:uuid',
  access: 'change',
  summary: 'Stops a job that runs or waits; removes the record of one that is over.',
  answers: JOB,
  handle: async ({ request, service: { jobs } }) =>
    request.json(jobs.record(await jobs.cancel(request.uuid()))),
})

/** Reference contract, 8.17. */
export const listImageJobs = operation({
  name: 'ListImageJobs',
  method: 'GET',
  path: '/images/:uuid/jobs',
  access: 'read',
  image: 'new',
  summary: 'Lists the jobs of an image.',
  parameters: { task: text('the name of the job'), execution: text('the state of the job') },
  answers: JOBS,
  async handle({ request, service: { images, jobs }, viewer, parameters: { task, execution } }) {
    const uuid = request.uuid()
    const ofImage = await visibleJobs(
      request,
      jobs.list().filter(job => job.image_uuid === uuid),
    )
    // An image that is being imported has jobs before it exists.
    if (ofImage.length === 0) await visibleImage(images, uuid, viewer)
    const found = ofImage
      .filter(job => task === undefined || job.task === task)
      .filter(job => execution === undefined || job.state === execution)
    return request.json(found.map(job => jobs.record(job)))
  },
})
