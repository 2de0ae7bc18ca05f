import { addToChannel } from '../../images/channels.ts'
import { importImage } from '../../images/create.ts'
import { ImgapiError, invalidParameter } from '../../images/errors.ts'
import type { Image } from '../../images/image.ts'
import { activateImage, setDisabled } from '../../images/lifecycle.ts'
import { correctMinPlatform } from '../../images/old-imgadm.ts'
import { isObject } from '../../images/rules.ts'
import { updateImage } from '../../images/update.ts'
import { ownImage, type Viewer, visibleImage } from '../../images/visibility.ts'
import type { ApiRequest } from '../api-request.ts'
import { checkChangeConditions } from '../conditions.ts'
import type { Operation } from '../operation.ts'
import {
  changeStor,
  importFromDatacenter,
  importFromSource,
  importRemote,
  refuseTritonOnly,
} from './imports.ts'

type Action = (request: ApiRequest, uuid: string, body: unknown, viewer: Viewer) => Promise<Image>

interface Change {
  name: string
  isOffered?(request: ApiRequest): boolean
  change: Action
}

/** Actions on an image that is there. */
const CHANGES: Record<string, Change> = {
  activate: {
    name: 'ActivateImage',
    change: ({ service }, uuid) => activateImage(service.images, uuid),
  },
  enable: {
    name: 'EnableImage',
    change: ({ service }, uuid) => setDisabled(service.images, uuid, false),
  },
  disable: {
    name: 'DisableImage',
    change: ({ service }, uuid) => setDisabled(service.images, uuid, true),
  },
  'channel-add': {
    name: 'ChannelAddImage',
    isOffered: ({ service }) => service.images.policy.channels.length > 0,
    change: ({ service }, uuid, body) => addToChannel(service.images, uuid, body),
  },
  update: {
    name: 'UpdateImage',
    change: ({ service }, uuid, body, viewer) => updateImage(service.images, uuid, body, viewer),
  },
}

/** POST /images/:uuid?action=... (reference contract, 8.12, 8.13 and 10.1). */
export const imageAction: Operation = {
  name: 'ImageAction',
  method: 'POST',
  path: '/images/:uuid',
  async handle(request) {
    const { images } = request.service
    await request.authenticate()
    const uuid = request.uuid()
    const viewer = request.viewer()
    const body = await request.body()
    const action = request.query.nonEmpty('action')
    const bring = action !== undefined && Object.hasOwn(IMPORTS, action) ? IMPORTS[action] : undefined
    if (bring) {
      request.exchange.route = bring.name
      return bring.run(request, uuid, viewer, body)
    }
    await visibleImage(images, uuid, viewer)
    if (action === 'change-stor') {
      request.exchange.route = 'AdminChangeImageStor'
      return changeStor(request, uuid, viewer, body)
    }
    const image = await ownImage(images, uuid, viewer)
    if (action === 'export') refuseTritonOnly('exporting images to Manta')
    const known = findChange(request, action)
    if (known) request.exchange.route = known.name
    checkChangeConditions(request.headers, {
      etags: [request.rendered(image, { ...request.view(), adminFields: false }).etag],
    })
    if (known) return request.image(await known.change(request, uuid, body, viewer))
    throw action === undefined
      ? new ImgapiError('InvalidParameter', 'no image "action" was specified', {
          errors: [{ field: 'action', code: 'MissingParameter' }],
        })
      : invalidParameter('action', `"${action}" is not a valid action`)
  },
}

/** Actions on an image that is not there yet. */
const IMPORTS: Record<
  string,
  { name: string; run(request: ApiRequest, uuid: string, viewer: Viewer, body: unknown): Promise<Response> }
> = {
  import: {
    name: 'AdminImportImage',
    run: async (request, uuid, viewer, body) => {
      request.query.flag('skip_owner_check')
      const { images } = request.service
      if (request.query.has('source')) return request.image(await importFromSource(request, uuid, viewer))
      const agent = request.header('user-agent')
      const manifest = isObject(body) ? await correctMinPlatform(images, body, agent) : body
      return request.image(await importImage(images, uuid, manifest, viewer))
    },
  },
  'import-remote': { name: 'AdminImportRemoteImage', run: importRemote },
  'import-from-datacenter': { name: 'ImportImageFromDatacenter', run: importFromDatacenter },
}

function findChange(request: ApiRequest, action: string | undefined): Change | undefined {
  const change = action !== undefined && Object.hasOwn(CHANGES, action) ? CHANGES[action] : undefined
  return change?.isOffered?.(request) === false ? undefined : change
}
