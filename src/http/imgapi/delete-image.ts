import { deleteImage } from '../../images/remove.ts'
import { operation } from '../operation.ts'
import { flag } from '../parameters.ts'

/** Reference contract, 8.14. */
export const deleteImageOperation = operation({
  name: 'DeleteImage',
  method: 'DELETE',
  path: '/images/:uuid',
  access: 'change',
  image: 'own',
  summary: 'Deletes an image with its files, or removes it from a channel if it is in others too.',
  parameters: { force_all_channels: flag('delete it from all channels') },
  answers: { 204: { description: 'the image is deleted' } },
  async handle({ request, service, viewer, image, parameters }) {
    await deleteImage(service.images, image.uuid, viewer, parameters.force_all_channels ?? false)
    return request.empty(204)
  },
})
