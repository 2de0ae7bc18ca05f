import { invalidArgument, missingParameter } from '../../images/errors.ts'
import { operation } from '../operation.ts'
import { needed } from '../parameters.ts'
import { StateSchema } from './schemas.ts'

/** Reference contract, 8.3. */
export const getState = operation({
  name: 'AdminGetState',
  method: 'GET',
  path: '/state',
  access: 'operator',
  summary: 'Returns what the server is doing, for its operators.',
  answers: { 200: { description: 'the state', schema: StateSchema } },
  async handle({ request, service: { log, logOutput, gateways, storageProblem } }) {
    return request.json({
      cache: {},
      log: { level: log.level, lost: logOutput.lost },
      storageTypes: ['local'],
      storage: storageProblem() ?? 'ok',
      uptime: Math.round(process.uptime()),
      memory: { rss: process.memoryUsage.rss() },
      gateways: await gateways(),
    })
  },
})

/** There are no caches to drop, but the test suite of the reference requests it before it starts. */
export const updateState = operation({
  name: 'AdminUpdateState',
  method: 'POST',
  path: '/state',
  access: 'operator',
  summary: 'Accepts action=dropcaches, and does nothing.',
  parameters: { action: needed('dropcaches') },
  answers: { 202: { description: 'done' } },
  async handle({ request, parameters: { action } }) {
    if (action === 'dropcaches') return request.empty(202)
    throw action === undefined
      ? missingParameter('"action" is required')
      : invalidArgument(`"${action}" is not a valid action`)
  },
})
