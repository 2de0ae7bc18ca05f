import { ImgapiError } from '../../images/errors.ts'
import type { Operation } from '../operation.ts'

/** Reference contract, 8.3: what the server is doing, for its operators. */
export const getState: Operation = {
  name: 'AdminGetState',
  method: 'GET',
  path: '/state',
  async handle(request) {
    await request.authenticate()
    const { log, logOutput, gateways, storageProblem } = request.service
    const memory = process.memoryUsage.rss()
    return request.json({
      cache: {},
      log: { level: log.level, lost: logOutput.lost },
      storageTypes: ['local'],
      storage: storageProblem() ?? 'ok',
      uptime: Math.round(process.uptime()),
      memory: { rss: memory },
      gateways: await gateways(),
    })
  },
}

/** There are no caches to drop, but test suites of the reference ask for it before they begin. */
export const updateState: Operation = {
  name: 'AdminUpdateState',
  method: 'POST',
  path: '/state',
  async handle(request) {
    await request.authenticate()
    const action = request.query.nonEmpty('action')
    if (action === 'dropcaches') return request.empty(202)
    throw action === undefined
      ? new ImgapiError('MissingParameter', '"action" is required')
      : new ImgapiError('InvalidArgument', `"${action}" is not a valid action`)
  },
}
