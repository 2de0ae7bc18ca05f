import { isVisibleWork, visibleImage } from '../../images/visibility.ts'
import type { Job } from '../../jobs/job.ts'
import { jobNotFound } from '../../jobs/jobs.ts'
import type { ApiRequest } from '../api-request.ts'
import type { Operation } from '../operation.ts'

/** Those of the jobs that an identified caller may know of. A job is in no channel. */
async function visibleJobs({ service, caller, query }: ApiRequest, jobs: readonly Job[]): Promise<Job[]> {
  const viewer = { authenticated: caller.authenticated, account: query.get('account') }
  const verdicts = await Promise.all(
    jobs.map(({ image_uuid, fetch }) =>
      isVisibleWork(service.images, image_uuid, viewer, fetch?.manifest.public === true),
    ),
  )
  return jobs.filter((_, index) => verdicts[index])
}

/** Imports under way and done. */
export const listJobs: Operation = {
  name: 'ListJobs',
  method: 'GET',
  path: '/jobs',
  async handle(request) {
    await request.authenticate()
    const { jobs } = request.service
    const state = request.query.get('state')
    const found = jobs.list().filter(job => state === undefined || job.state === state)
    return request.json((await visibleJobs(request, found)).map(job => jobs.record(job)))
  },
}

/** Open to callers who may read the image, as far as it is known: the operator CLI polls it without credentials. */
export const getJob: Operation = {
  name: 'GetJob',
  method: 'GET',
  path: '/jobs/:uuid',
  async handle(request) {
    await request.identify()
    const { jobs } = request.service
    const uuid = request.uuid()
    const [job] = await visibleJobs(request, [jobs.find(uuid)])
    if (!job) throw jobNotFound(uuid)
    return request.json(jobs.record(job))
  },
}

/** Stops a job that is under way; removes the record of one that is over. */
export const cancelJob: Operation = {
  name: 'CancelJob',
  method: 'DELETE',
  path: '/jobs/:uuid',
  async handle(request) {
    await request.authenticate()
    const { jobs } = request.service
    const job = await jobs.cancel(request.uuid())
    return request.json(jobs.record(job))
  },
}

/** Reference contract, 8.17. */
export const listImageJobs: Operation = {
  name: 'ListImageJobs',
  method: 'GET',
  path: '/images/:uuid/jobs',
  async handle(request) {
    const uuid = request.uuid()
    await request.identify()
    const viewer = request.viewer({ everyChannel: true })
    const { images, jobs } = request.service
    const ofImage = await visibleJobs(
      request,
      jobs.list().filter(job => job.image_uuid === uuid),
    )
    // An image that is being imported has jobs before it is there.
    if (ofImage.length === 0) await visibleImage(images, uuid, viewer)
    const task = request.query.get('task')
    const execution = request.query.get('execution')
    const found = ofImage
      .filter(job => task === undefined || job.task === task)
      .filter(job => execution === undefined || job.state === execution)
    return request.json(found.map(job => jobs.record(job)))
  },
}
