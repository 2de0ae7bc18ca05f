import { z } from 'zod'
import { invalidData, invalidParameter, invalidParameters } from '../../images/errors.ts'
import type { ImageServer } from '../../imports/lxd/image-server.ts'
import { importLxdImage } from '../../imports/lxd/import-lxd.ts'
import { RestServer } from '../../imports/lxd/rest-server.ts'
import { SimpleStreams } from '../../imports/lxd/simplestreams.ts'
import { streamMessages } from '../message-stream.ts'
import { operation } from '../operation.ts'
import { flag, needed, text } from '../parameters.ts'
import type { Service } from '../service.ts'

/** Reference contract, section 11. */
export const importLxdImageOperation = operation({
  name: 'AdminImportLxdImage',
  method: 'POST',
  path: '/images',
  when: { action: 'import-lxd-image' },
  access: 'operator',
  image: 'any',
  summary: 'Imports an image from an LXD or simplestreams server, and streams its progress.',
  parameters: {
    alias: needed('the name of a server in the config, a colon, and the alias of the image'),
    secret: text('for an image that its server does not show to everyone'),
    public: flag('whether the image is public; it is not if left out'),
  },
  body: z.unknown(),
  answers: { 200: { description: 'JSON objects, one a line, as things happen', media: 'application/json' } },
  async handle({ request, service: { images, lxd, retry }, viewer: { channel }, parameters }) {
    const { name, alias } = readAlias(parameters.alias)
    const common = { id: parameters.alias, alias: parameters.alias }
    return streamMessages(request, common, async (send, signal) => {
      const server = imageServer(lxd, name, parameters.secret)
      const isPublic = parameters.public ?? false
      const work = { images, retry, server, registry: name, alias, isPublic, channel }
      await importLxdImage({ ...work, requestId: request.exchange.id, signal, send })
    })
  },
})

/** Splits `registry:image`. Throws ValidationFailed or InvalidParameter. */
function readAlias(full: string | undefined) {
  if (full === undefined) {
    throw invalidData('missing parameters', [{ field: 'alias', code: 'MissingParameter' }])
  }
  const colon = full.indexOf(':')
  const [name, alias] = [full.slice(0, colon), full.slice(colon + 1)]
  if (colon > 0 && alias !== '') return { name, alias }
  throw invalidParameter('alias', 'alias must be in the format "registry:image"', 'InvalidParameter')
}

/** Returns the server of a configured name. Throws InvalidParameter with the configured names. */
function imageServer({ registries, client }: Service['lxd'], name: string, secret?: string): ImageServer {
  if (!Object.hasOwn(registries, name)) {
    const valid = Object.keys(registries).join(', ')
    throw invalidParameters(`No registry found for "${name}" - valid registries are "${valid}"`)
  }
  const { url, protocol } = registries[name]!
  if (protocol === 'lxd') return new RestServer(client, new URL(url), secret)
  return new SimpleStreams(client, new URL(url))
}
