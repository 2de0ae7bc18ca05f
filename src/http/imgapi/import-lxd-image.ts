import { ImgapiError } from '../../images/errors.ts'
import { requireOperator, type Viewer } from '../../images/visibility.ts'
import type { ImageServer } from '../../lxd/image-server.ts'
import { importLxdImage } from '../../lxd/import-lxd.ts'
import { RestServer } from '../../lxd/rest-server.ts'
import { SimpleStreams } from '../../lxd/simplestreams.ts'
import type { ApiRequest } from '../api-request.ts'
import { streamMessages } from '../message-stream.ts'

/**
 * `POST /images?action=import-lxd-image&alias=REGISTRY:IMAGE` (reference contract, section 11). `secret`: for an
 * image of a server of LXD that is not public.
 */
export async function importLxd(request: ApiRequest, viewer: Viewer): Promise<Response> {
  const { images, retry } = request.service
  requireOperator(viewer)
  const full = request.query.nonEmpty('alias')
  const { name, alias } = readAlias(full)
  const isPublic = request.query.flag('public') ?? false
  const { channel } = viewer
  const requestId = request.exchange.id
  return streamMessages(request, { id: full, alias: full }, async (tell, signal) => {
    const server = imageServer(request, name)
    const work = { images, retry, server, registry: name, alias, isPublic, channel, requestId }
    await importLxdImage({ ...work, signal, tell })
  })
}

/** Throws ValidationFailed or InvalidParameter. */
function readAlias(full: string | undefined) {
  if (full === undefined) {
    const errors = [{ field: 'alias', code: 'MissingParameter' as const }]
    throw new ImgapiError('ValidationFailed', 'missing parameters', { errors })
  }
  const colon = full.indexOf(':')
  const [name, alias] = [full.slice(0, colon), full.slice(colon + 1)]
  if (colon > 0 && alias !== '') return { name, alias }
  throw new ImgapiError('InvalidParameter', 'alias must be in the format "registry:image"', {
    errors: [{ field: 'alias', code: 'InvalidParameter' }],
  })
}

/** Throws InvalidParameter, which names the registries of the config. */
function imageServer({ service: { lxd }, query }: ApiRequest, name: string): ImageServer {
  const { registries, client } = lxd
  if (!Object.hasOwn(registries, name)) {
    const valid = Object.keys(registries).join(', ')
    throw new ImgapiError(
      'InvalidParameter',
      `No registry found for "${name}" - valid registries are "${valid}"`,
    )
  }
  const { url, protocol } = registries[name]!
  if (protocol === 'lxd') return new RestServer(client, new URL(url), query.get('secret'))
  return new SimpleStreams(client, new URL(url))
}
