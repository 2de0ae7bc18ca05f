import { z } from 'zod'
import { operation } from '../operation.ts'
import { ChannelSchema } from './schemas.ts'

/** Reference contract, 8.5. A server without channels does not have the route. */
export const listChannels = operation({
  name: 'ListChannels',
  method: 'GET',
  path: '/channels',
  access: 'read',
  summary: 'Lists the channels of this server.',
  answers: { 200: { description: 'the channels', schema: z.array(ChannelSchema) } },
  isOffered: ({ images }) => images.policy.channels.length > 0,
  handle: async ({ request, service }) => request.json(service.images.policy.channels),
})
