import { cloneImage } from '../../images/clone.ts'
import { readableImage } from '../../images/visibility.ts'
import type { Operation } from '../operation.ts'

/** Reference contract, 8.18: only datacenters have accounts that could clone. */
export const cloneImageOperation: Operation = {
  name: 'CloneImage',
  method: 'POST',
  path: '/images/:uuid/clone',
  isOffered: ({ images }) => images.policy.mode === 'dc',
  async handle(request) {
    const { images } = request.service
    await request.authenticate()
    const uuid = request.uuid()
    const viewer = request.viewer()
    const image = await readableImage(images, uuid, viewer)
    const clone = await cloneImage(images, image, viewer.account)
    return request.text(request.rendered(clone).body)
  },
}
