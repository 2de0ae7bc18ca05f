import { isLive } from '../imports/jobs/job.ts'
import type { JobRecord } from '../imports/jobs/job-record.ts'
import { EXIT, OperatorError, UsageError } from '../util/operator-error.ts'
import { type Context, clientCommand } from './client-command.ts'
import { followJob } from './follow-job.ts'
import { bytes } from './format.ts'
import { table } from './table.ts'
import { terminalWidth } from './terminal.ts'
import { readUuid } from './uuid-arg.ts'

const ACTIONS = ['list', 'show', 'cancel'] as const

export const jobs = clientCommand({
  meta: { name: 'jobs', description: 'List the imports of a server, wait for them or cancel them' },
  args: {
    action: {
      type: 'positional',
      required: false,
      valueHint: 'list|show|cancel',
      description: 'what to do (default: list)',
      complete: ACTIONS,
    },
    uuid: {
      type: 'positional',
      required: false,
      valueHint: 'JOB',
      description: 'UUID of the job, for show and cancel',
    },
    wait: { type: 'boolean', alias: 'w', description: 'with show: show the progress until the job ends' },
    state: {
      type: 'string',
      valueHint: 'STATE',
      description: 'with list: only jobs in this state, such as queued or running',
    },
  },
  examples: [
    'imgapi jobs',
    'imgapi jobs show 4be24ee8-d5a1-4a4d-a1b6-5a2d1b0c3c7e --wait',
    'imgapi jobs cancel 4be24ee8-d5a1-4a4d-a1b6-5a2d1b0c3c7e',
  ],
  async run({ action = 'list', uuid, wait, state, json }, context) {
    const verb = ACTIONS.find(candidate => candidate === action)
    if (!verb) throw new UsageError(`${action}: expected list, show or cancel`)
    if (verb === 'list') {
      if (uuid !== undefined) throw new UsageError(`unexpected argument: ${uuid}`)
      return listJobs(context, state, json)
    }
    if (uuid === undefined) throw new UsageError('name the JOB')
    const id = readUuid(uuid, 'the UUID of a job')
    return verb === 'show' ? showJob(context, id, wait, json) : cancelJob(context, id, json)
  },
})

async function listJobs({ client, print, say }: Context, state: string | undefined, json: boolean) {
  const found = await client.listJobs({ state })
  if (json) return print(found)
  if (found.length === 0) return say('there are no jobs')
  const rows = found.map(job => [job.uuid, job.state, job.image_uuid, amount(job), job.params.source])
  console.log(table(['JOB', 'STATE', 'IMAGE', 'DONE', 'SOURCE'], rows, { width: terminalWidth() }))
}

const amount = ({ bytes_done, bytes_expected }: JobRecord) =>
  `${bytes(bytes_done)} of ${bytes(bytes_expected)}`

async function showJob(context: Context, uuid: string, wait: boolean, json: boolean) {
  const { client, print, say } = context
  const job = wait ? await followJob(uuid, context) : await client.getJob(uuid)
  if (json) print(job)
  else {
    say(`${job.uuid}: ${job.state}, ${amount(job)}, image ${job.image_uuid} from ${job.params.source}`)
    for (const step of job.images)
      say(`  ${step.uuid}: ${step.state}, ${bytes(step.bytes_done)} of ${bytes(step.bytes_expected)}`)
    if (job.error) say(`  error: ${job.error.message}`)
    else if (job.last_retry) say(`  last retry: ${job.last_retry.message}`)
  }
  if (!wait || job.state === 'succeeded') return
  throw new OperatorError(`job ${uuid} ${job.state}${job.error ? `: ${job.error.message}` : ''}`, EXIT.failed)
}

async function cancelJob({ client, print, say }: Context, uuid: string, json: boolean) {
  const wasOver = !isLive(await client.getJob(uuid))
  const job = await client.cancelJob(uuid)
  if (json) return print(job)
  say(wasOver ? `${uuid} had ended (${job.state}): its record is removed` : `${uuid}: ${job.state}`)
}
