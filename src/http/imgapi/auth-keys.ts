import type { Operation } from '../operation.ts'

/** Reference contract, 8.4: keys that were added to or removed from the key folder count from here on. */
export const reloadAuthKeys: Operation = {
  name: 'AdminReloadAuthKeys',
  method: 'POST',
  path: '/authkeys/reload',
  async handle(request) {
    await request.authenticate()
    request.service.auth.reloadKeys()
    return request.json({})
  },
}
