import { z } from 'zod'
import { count, time, uuid } from '../../images/value-rules.ts'

/** A job as clients see it. Its steps are stored in the same form. */

export const JobStateSchema = z.enum(['queued', 'running', 'succeeded', 'failed', 'canceled'])
export type JobState = z.infer<typeof JobStateSchema>

export const JobStepSchema = z
  .object({
    uuid: uuid.describe('the image that this step imports; origins come first'),
    state: z.enum(['waiting', 'running', 'done']),
    bytes_done: count,
    bytes_expected: count.describe('bytes of all its files'),
    started_at: time.optional(),
    finished_at: time.optional(),
  })
  .meta({ id: 'JobStep' })
export type JobStep = z.infer<typeof JobStepSchema>

const ChainResultSchema = z.object({
  name: z.string(),
  result: z.string(),
  error: z.string(),
  started_at: time.optional(),
  finished_at: time.optional(),
})

export const JobRecordSchema = z
  .object({
    uuid,
    name: z.string(),
    image_uuid: uuid,
    state: JobStateSchema,
    execution: z.string().describe('the same as `state`, for clients of the reference'),
    params: z.object({ image_uuid: uuid, source: z.string() }),
    bytes_done: count,
    bytes_expected: count,
    rate: count.describe('bytes a second'),
    retries: count,
    last_retry: z.object({ message: z.string(), at: time }).optional(),
    interruptions: count.describe('how often the server ended unexpectedly while the job was running'),
    error: z.object({ code: z.string(), message: z.string() }).optional().describe('why it failed'),
    created_at: time,
    started_at: time.optional(),
    finished_at: time.optional(),
    images: z.array(JobStepSchema),
    chain_results: z
      .array(ChainResultSchema)
      .describe('the steps that are over, for clients of the reference'),
  })
  .meta({ id: 'Job' })
export type JobRecord = z.infer<typeof JobRecordSchema>
