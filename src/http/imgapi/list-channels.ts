import type { Operation } from '../operation.ts'

/** Reference contract, 8.5. A server without channels does not have the route. */
export const listChannels: Operation = {
  name: 'ListChannels',
  method: 'GET',
  path: '/channels',
  isOffered: ({ images }) => images.policy.channels.length > 0,
  async handle(request) {
    await request.identify()
    return request.json(request.service.images.policy.channels)
  },
}
