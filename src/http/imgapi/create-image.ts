import { createImage } from '../../images/create.ts'
import { operation } from '../operation.ts'
import { actionOf } from '../parameters.ts'
import { AN_IMAGE, NewManifestSchema } from './schemas.ts'
import { refuseTritonOnly } from './triton-only.ts'

/** POST /images (reference contract, 8.11). */
export const createImageOperation = operation({
  name: 'CreateImage',
  method: 'POST',
  path: '/images',
  access: 'change',
  image: 'any',
  summary: 'Creates an image from a manifest; its file is uploaded next.',
  parameters: { action: actionOf() },
  body: NewManifestSchema,
  answers: AN_IMAGE,
  handle: ({ service, body, viewer }) => createImage(service.images, body, viewer),
})

export const createImageFromVm = operation({
  name: 'CreateImageFromVm',
  method: 'POST',
  path: '/images',
  when: { action: 'create-from-vm' },
  access: 'change',
  image: 'any',
  summary: 'Not available: it needs a Triton datacenter.',
  body: NewManifestSchema,
  answers: {},
  handle: async () => refuseTritonOnly('custom image creation'),
})
