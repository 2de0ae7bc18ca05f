import { z } from 'zod'
import { operation } from '../operation.ts'

/** Reference contract, 8.4: applies keys that were added to or removed from the key folder. */
export const reloadAuthKeys = operation({
  name: 'AdminReloadAuthKeys',
  method: 'POST',
  path: '/authkeys/reload',
  access: 'operator',
  summary: 'Reads the public keys of users again.',
  answers: { 200: { description: 'done', schema: z.looseObject({}) } },
  async handle({ request, service }) {
    service.auth.reloadKeys()
    return request.json({})
  },
})
