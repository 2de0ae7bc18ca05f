import { ImgapiError, invalidParameter } from '../../images/errors.ts'
import { requireOperator } from '../../images/visibility.ts'
import type { Operation } from '../operation.ts'

/** The mirrors that the config names: how they are doing. `actions=true`: with what the last run did. */
export const listMirrors: Operation = {
  name: 'ListMirrors',
  method: 'GET',
  path: '/mirrors',
  async handle(request) {
    await request.authenticate()
    // What a run did names images of every account.
    requireOperator({ authenticated: true, account: request.query.get('account') })
    const { mirrors } = request.service
    const actions = request.query.flag('actions') ?? false
    return request.json(mirrors.describe({ actions, source: request.query.get('source') }))
  },
}

/**
 * `action=run`: starts a run of each mirror, or of that `source`, if none is under way. With `dry_run=true` the
 * answer is what it would do.
 */
export const runMirrors: Operation = {
  name: 'RunMirrors',
  method: 'POST',
  path: '/mirrors',
  async handle(request) {
    await request.authenticate()
    const { mirrors } = request.service
    const action = request.query.nonEmpty('action')
    if (action === undefined) throw new ImgapiError('MissingParameter', '"action" is required')
    if (action !== 'run') throw invalidParameter('action', `"${action}" is not a valid action`)
    const source = request.query.get('source')
    if (request.query.flag('dry_run') ?? false) return request.json(await mirrors.plan(source))
    void mirrors.run(source)
    return request.json(mirrors.describe({ source }))
  },
}
