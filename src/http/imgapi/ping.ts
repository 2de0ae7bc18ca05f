import { VERSION } from '../../version.ts'
import type { Operation } from '../operation.ts'

/** imgadm tells an Image API from an old Dataset API by `imgapi`; nothing here needs credentials. */
export const ping: Operation = {
  name: 'Ping',
  method: 'GET',
  path: '/ping',
  async handle(request) {
    const { user } = await request.identify({ isPublic: true })
    return request.json({
      ping: 'pong',
      version: VERSION,
      imgapi: true,
      pid: process.pid,
      ...(user && { user }),
    })
  },
}
