import { z } from 'zod'
import { invalidParameter, missingParameter } from '../../images/errors.ts'
import { MirrorPlanSchema, MirrorStatusSchema } from '../../imports/mirror/status.ts'
import { operation } from '../operation.ts'
import { flag, needed, text } from '../parameters.ts'

const description = 'the mirrors'

export const listMirrors = operation({
  name: 'ListMirrors',
  method: 'GET',
  path: '/mirrors',
  access: 'operator',
  summary: 'Lists the mirrors of the config with their last runs.',
  parameters: {
    actions: flag('with what the last run did'),
    source: text('the mirror of this source alone'),
  },
  answers: { 200: { description, schema: z.array(MirrorStatusSchema) } },
  handle: async ({ request, service, parameters: { actions = false, source } }) =>
    request.json(service.mirrors.describe({ actions, source })),
})

export const runMirrors = operation({
  name: 'RunMirrors',
  method: 'POST',
  path: '/mirrors',
  access: 'operator',
  summary: 'Starts a run of each mirror that is idle.',
  parameters: {
    action: needed('run'),
    source: text('the mirror of this source alone'),
    dry_run: flag('answer with what a run would do, and do nothing'),
  },
  answers: { 200: { description, schema: z.array(z.union([MirrorStatusSchema, MirrorPlanSchema])) } },
  async handle({ request, service: { mirrors }, parameters: { action, source, dry_run } }) {
    if (action === undefined) throw missingParameter('"action" is required')
    if (action !== 'run') throw invalidParameter('action', `"${action}" is not a valid action`)
    if (dry_run) return request.json(await mirrors.plan(source))
    void mirrors.run(source)
    return request.json(mirrors.describe({ source }))
  },
})
