import { cloneImage } from '../../images/clone.ts'
import { operation } from '../operation.ts'
import { AN_IMAGE } from './schemas.ts'

/** Reference contract, 8.18. Offered in mode dc only, because other modes have no accounts. */
export const cloneImageOperation = operation({
  name: 'CloneImage',
  method: 'POST',
  path: '/images/:uuid/clone',
  access: 'change',
  image: 'readable',
  summary: 'Makes a copy of a shared image that belongs to the account it is shared with.',
  answers: AN_IMAGE,
  isOffered: ({ images }) => images.policy.mode === 'dc',
  async handle({ request, service, viewer, image }) {
    const clone = await cloneImage(service.images, image, viewer.account)
    return request.rawJson(request.rendered(clone).body)
  },
})
