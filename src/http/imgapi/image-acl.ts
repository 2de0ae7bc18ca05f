import { type AclAction, changeAcl } from '../../images/acl.ts'
import { invalidParameter } from '../../images/errors.ts'
import { ownImage } from '../../images/visibility.ts'
import type { Operation } from '../operation.ts'

const readAction = (given: string | undefined): AclAction => {
  if (given === undefined || given === 'add') return 'add'
  if (given === 'remove') return 'remove'
  throw invalidParameter('action', `"${given}" is not a valid action`)
}

/** Reference contract, 8.15. */
export const imageAcl: Operation = {
  name: 'AddImageAcl',
  method: 'POST',
  path: '/images/:uuid/acl',
  async handle(request) {
    const { images } = request.service
    await request.authenticate()
    const uuid = request.uuid()
    const viewer = request.viewer()
    const action = readAction(request.query.get('action'))
    if (action === 'remove') request.exchange.route = 'RemoveImageAcl'
    const body = await request.body()
    await ownImage(images, uuid, viewer)
    return request.image(await changeAcl(images, uuid, action, body))
  },
}
