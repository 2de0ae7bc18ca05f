import type { Images } from '../../images/images.ts'
import { withoutCredentials } from '../../sources/http-client.ts'
import type { FetchedImage, Job } from './job.ts'

export interface ImportRequest {
  task: Job['task']
  image_uuid: string
  source: URL
  channel?: string | undefined
  /** For task `fetch-image`. */
  fetch?: FetchedImage | undefined
}

/** Creates a queued job for a request. */
export const newJob = (images: Images, request: ImportRequest): Job => ({
  uuid: images.newUuid(),
  task: request.task,
  image_uuid: request.image_uuid,
  source: withoutCredentials(request.source),
  secret_source: request.source.href,
  channel: request.channel,
  state: 'queued',
  retries: 0,
  interruptions: 0,
  created_at: images.now().toISOString(),
  steps: [],
  partials: [],
  ...(request.fetch && { fetch: request.fetch }),
})
