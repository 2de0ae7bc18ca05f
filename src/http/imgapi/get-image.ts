import { readableImage } from '../../images/visibility.ts'
import { checkPreconditions, isNotModified } from '../conditions.ts'
import type { Operation } from '../operation.ts'

/** Reference contract, 8.7. */
export const getImage: Operation = {
  name: 'GetImage',
  method: 'GET',
  path: '/images/:uuid',
  async handle(request) {
    const uuid = request.uuid()
    await request.identify()
    const image = await readableImage(request.service.images, uuid, request.viewer({ everyChannel: true }))
    const view = request.view()
    const etags = [request.rendered(image, { ...view, adminFields: false }).etag]
    checkPreconditions(request.headers, { etags })
    if (isNotModified(request.headers, { etags })) return request.empty(304, { Etag: `"${etags[0]}"` })
    return request.image(image, view)
  },
}
