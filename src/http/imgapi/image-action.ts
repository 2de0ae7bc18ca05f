import { z } from 'zod'
import { addToChannel } from '../../images/channels.ts'
import { invalidParameter } from '../../images/errors.ts'
import { activateImage, setDisabled } from '../../images/lifecycle.ts'
import { updateImage } from '../../images/update.ts'
import { operation } from '../operation.ts'
import type { Parameter } from '../parameters.ts'
import { AN_IMAGE, UpdateSchema } from './schemas.ts'

/** Changes of an image that `POST /images/:uuid?action=...` selects (reference contract, 8.12 and 8.13). */

const shared = {
  method: 'POST',
  path: '/images/:uuid',
  access: 'change',
  image: 'own',
  conditional: true,
  answers: AN_IMAGE,
} as const

/** The reference reads the body of every action, and refuses one that is not JSON. */
const AnyBody = z.unknown()

export const activateImageOperation = operation({
  ...shared,
  name: 'ActivateImage',
  when: { action: 'activate' },
  summary: 'Makes an image available; its files can no longer change.',
  body: AnyBody,
  handle: ({ service, image }) => activateImage(service.images, image.uuid),
})

export const enableImage = operation({
  ...shared,
  name: 'EnableImage',
  when: { action: 'enable' },
  summary: 'Offers a disabled image again.',
  body: AnyBody,
  handle: ({ service, image }) => setDisabled(service.images, image.uuid, false),
})

export const disableImage = operation({
  ...shared,
  name: 'DisableImage',
  when: { action: 'disable' },
  summary: 'Takes an image out of lists; hosts that have it can still fetch it.',
  body: AnyBody,
  handle: ({ service, image }) => setDisabled(service.images, image.uuid, true),
})

export const channelAddImage = operation({
  ...shared,
  name: 'ChannelAddImage',
  when: { action: 'channel-add' },
  summary: 'Puts an image into one more channel.',
  body: z.looseObject({ channel: z.string() }),
  isOffered: ({ images }) => images.policy.channels.length > 0,
  handle: ({ service, image, body }) => addToChannel(service.images, image.uuid, body),
})

export const updateImageOperation = operation({
  ...shared,
  name: 'UpdateImage',
  when: { action: 'update' },
  summary: 'Changes fields of a manifest; null removes a field.',
  body: UpdateSchema,
  handle: ({ service, image, body, viewer }) => updateImage(service.images, image.uuid, body, viewer),
})

/** Throws InvalidParameter always, because each known action has an operation of its own. */
const unknownAction: Parameter<never> = {
  description: 'selects the operation',
  schema: z.string(),
  read(query, name) {
    const given = query.nonEmpty(name)
    if (given !== undefined) throw invalidParameter(name, `"${given}" is not a valid action`)
    throw invalidParameter(name, 'no image "action" was specified', 'MissingParameter')
  },
}

/** Refuses a missing or unknown action after all other checks, as the reference does. */
export const unknownImageAction = operation({
  ...shared,
  name: 'ImageAction',
  summary: 'Refused: an action is required.',
  parameters: { action: unknownAction },
  body: AnyBody,
  handle: ({ parameters }) => parameters.action,
})
