import { z } from 'zod'
import { changeAcl } from '../../images/acl.ts'
import { UUID } from '../../images/fields.ts'
import { operation } from '../operation.ts'
import { actionOf } from '../parameters.ts'
import { AN_IMAGE } from './schemas.ts'

const AccountsSchema = z.union([z.array(z.string().regex(UUID)), z.string().regex(UUID)])

const shared = {
  method: 'POST',
  path: '/images/:uuid/acl',
  access: 'change',
  image: 'own',
  body: AccountsSchema,
  answers: AN_IMAGE,
} as const

/** Reference contract, 8.15. Without an action, accounts are added. */
export const addImageAcl = operation({
  ...shared,
  name: 'AddImageAcl',
  summary: 'Adds accounts to the access list of an image.',
  parameters: { action: actionOf('add') },
  handle: ({ service, image, body }) => changeAcl(service.images, image.uuid, 'add', body),
})

export const removeImageAcl = operation({
  ...shared,
  name: 'RemoveImageAcl',
  when: { action: 'remove' },
  summary: 'Removes accounts from the access list of an image.',
  handle: ({ service, image, body }) => changeAcl(service.images, image.uuid, 'remove', body),
})
