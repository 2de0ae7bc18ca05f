import { ImgapiError } from '../../images/errors.ts'
import { requireOperator, type Viewer } from '../../images/visibility.ts'
import { importLxdImage } from '../../lxd/import-lxd.ts'
import type { ApiRequest } from '../api-request.ts'
import { streamMessages } from '../message-stream.ts'

/** `POST /images?action=import-lxd-image&alias=REGISTRY:IMAGE` (reference contract, section 11). */
export async function importLxd(request: ApiRequest, viewer: Viewer): Promise<Response> {
  const { images, lxd, retry } = request.service
  requireOperator(viewer)
  const full = request.query.get('alias')
  const { name, alias } = readAlias(full)
  const isPublic = request.query.flag('public') ?? false
  const { channel } = viewer
  const requestId = request.exchange.id
  return streamMessages(request, { id: full, alias: full }, async (tell, signal) => {
    const registry = { name, url: registryUrl(lxd.registries, name) }
    const work = { images, client: lxd.client, retry, registry, alias, isPublic, channel, requestId }
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
function registryUrl(registries: Readonly<Record<string, string>>, name: string): URL {
  if (Object.hasOwn(registries, name)) return new URL(registries[name]!)
  const valid = Object.keys(registries).join(', ')
  throw new ImgapiError(
    'InvalidParameter',
    `No registry found for "${name}" - valid registries are "${valid}"`,
  )
}
