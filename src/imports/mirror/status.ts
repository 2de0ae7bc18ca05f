import { z } from 'zod'
import { count, time, uuid } from '../../images/value-rules.ts'

/** A mirror as clients see it: its state, and what a run does. Summaries of runs are stored in the same form. */

export const ActionSchema = z
  .object({
    action: z.enum(['import', 'update', 'disable', 'delete', 'skip']),
    uuid,
    name: z.string(),
    version: z.string(),
    size: count.optional().describe('bytes of all files, for an import'),
    fields: z.array(z.string()).optional().describe('the fields that change'),
    reason: z.string().optional(),
    result: z.enum(['done', 'failed', 'skipped']).optional().describe('absent while it is planned'),
    error: z.string().optional(),
  })
  .meta({ id: 'MirrorAction' })
export type Action = z.infer<typeof ActionSchema>

/** What a run would do. */
export const MirrorPlanSchema = z
  .object({ source: z.string(), actions: z.array(ActionSchema) })
  .meta({ id: 'MirrorPlan' })
export type MirrorPlan = z.infer<typeof MirrorPlanSchema>

const RunSummarySchema = z
  .object({
    started_at: time,
    finished_at: time,
    state: z.enum(['succeeded', 'failed', 'stopped']),
    error: z.string().optional(),
    imported: count,
    updated: count,
    disabled: count,
    deleted: count,
    failed: count.describe('number of images for which an action failed'),
    bytes: count,
  })
  .meta({ id: 'MirrorRun' })
export type RunSummary = z.infer<typeof RunSummarySchema>

const ProgressSchema = z.object({
  planned: count.describe('number of actions'),
  done: count,
  bytes_expected: count,
  bytes_done: count,
  images: z
    .array(z.object({ uuid, name: z.string(), bytes_done: count, bytes_expected: count }))
    .describe('the images that are being fetched'),
})
export type MirrorProgress = z.infer<typeof ProgressSchema>

export const MirrorStatusSchema = z
  .object({
    source: z.string().describe('its URL, without credentials'),
    state: z.enum(['idle', 'running']),
    interval: count.describe('seconds from the end of a run to the start of the next'),
    on_delete: z.enum(['keep', 'disable', 'delete']),
    images: count.describe('number of images that were imported from the source'),
    removed: count.describe('number of images that were deleted here by hand'),
    progress: ProgressSchema.optional(),
    last_run: RunSummarySchema.optional(),
    last_success: time.optional().describe('when a run last succeeded'),
    last_error: z.string().optional().describe('the last error, until a run succeeds'),
    next_run: time.optional(),
    actions: z.array(ActionSchema).optional().describe('with `actions=true`: what the last run did'),
  })
  .meta({ id: 'Mirror' })
export type MirrorStatus = z.infer<typeof MirrorStatusSchema>
