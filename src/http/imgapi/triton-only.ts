import { notAvailable } from '../../images/errors.ts'
import { operation } from '../operation.ts'

/** Operations that need a Triton datacenter; they are refused with the reason. */

/** Throws NotAvailable. */
export function refuseTritonOnly(what: string): never {
  const message = `${what} is not currently available: it needs a Triton datacenter, and this is a standalone image server`
  throw notAvailable(message)
}

const summary = 'Not available: it needs a Triton datacenter.'

export const exportImage = operation({
  name: 'ExportImage',
  method: 'POST',
  path: '/images/:uuid',
  when: { action: 'export' },
  access: 'change',
  image: 'own',
  summary,
  answers: {},
  handle: async () => refuseTritonOnly('exporting images to Manta'),
})

/** Reference contract, 8.19. */
export const pushImage = operation({
  name: 'AdminPushDockerImage',
  method: 'POST',
  path: '/images/:uuid/push',
  access: 'change',
  summary,
  answers: {},
  handle: async () => refuseTritonOnly('pushing docker images'),
})
