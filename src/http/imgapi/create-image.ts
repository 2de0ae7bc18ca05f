import { createImage } from '../../images/create.ts'
import { invalidParameter } from '../../images/errors.ts'
import type { Operation } from '../operation.ts'
import { importDocker } from './import-docker-image.ts'
import { importLxd } from './import-lxd-image.ts'
import { refuseTritonOnly } from './imports.ts'

/** POST /images (reference contract, 8.11). */
export const createImageOperation: Operation = {
  name: 'CreateImage',
  method: 'POST',
  path: '/images',
  async handle(request) {
    await request.authenticate()
    const viewer = request.viewer()
    const body = await request.body()
    const action = request.query.get('action')
    if (action === 'import-docker-image') {
      request.exchange.route = 'AdminImportDockerImage'
      return importDocker(request, viewer)
    }
    if (action === 'import-lxd-image') {
      request.exchange.route = 'AdminImportLxdImage'
      return importLxd(request, viewer)
    }
    if (action === 'create-from-vm') refuseTritonOnly('custom image creation')
    if (action !== undefined) throw invalidParameter('action', `"${action}" is not a valid action`)
    return request.image(await createImage(request.service.images, body, viewer))
  },
}
