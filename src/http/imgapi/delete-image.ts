import { deleteImage } from '../../images/remove.ts'
import { ownImage } from '../../images/visibility.ts'
import type { Operation } from '../operation.ts'

/** Reference contract, 8.14. */
export const deleteImageOperation: Operation = {
  name: 'DeleteImage',
  method: 'DELETE',
  path: '/images/:uuid',
  async handle(request) {
    await request.authenticate()
    const uuid = request.uuid()
    const viewer = request.viewer()
    await ownImage(request.service.images, uuid, viewer)
    const everyChannel = request.query.flag('force_all_channels') ?? false
    await deleteImage(request.service.images, uuid, viewer, everyChannel)
    return request.empty(204)
  },
}
