import { z } from 'zod'
import { badRequest, type FieldError, invalidData, notImplemented } from '../../images/errors.ts'
import { isObject } from '../../images/rules.ts'
import type { Viewer } from '../../images/visibility.ts'
import { importDockerImage as importLayers } from '../../imports/docker/import-docker.ts'
import {
  canonicalName,
  DIGEST,
  type ImageName,
  isTag,
  parseImageName,
  registryUrl,
} from '../../sources/registry/image-name.ts'
import { RegistryClient } from '../../sources/registry/registry-client.ts'
import { QUICK_RETRY } from '../../sources/retry.ts'
import type { ApiRequest } from '../api-request.ts'
import { streamMessages } from '../message-stream.ts'
import { operation } from '../operation.ts'
import { flag, text } from '../parameters.ts'

/** `POST /images?action=import-docker-image` (reference contract, section 11). */

export const importDockerImage = operation({
  name: 'AdminImportDockerImage',
  method: 'POST',
  path: '/images',
  when: { action: 'import-docker-image' },
  access: 'operator',
  image: 'any',
  summary: 'Imports the layers of an image from a container registry, and streams its progress.',
  parameters: {
    repo: text('the name of the repository'),
    tag: text('a tag; this or a digest is required'),
    digest: text('the digest of the manifest'),
    public: flag('whether the images are public; they are if left out'),
  },
  body: z.unknown(),
  answers: { 200: { description: 'JSON objects, one a line, as things happen', media: 'application/json' } },
  handle: ({ request, viewer }) => importDocker(request, viewer),
})

const invalid = (message: string, ...errors: FieldError[]) => invalidData(message, errors)

/** Starts an import. Errors before the stream starts are ordinary answers; later ones are its last message. */
async function importDocker(request: ApiRequest, viewer: Viewer): Promise<Response> {
  const { images, client, retry } = request.service
  const { name, reference } = readReference(request)
  const isPublic = request.query.flag('public') ?? true
  const credentials = readCredentials(request, name)
  const url = registryUrl(name.registry, name.scheme ?? client.schemeOf(name.registry))
  const registry = new RegistryClient({ client, url, credentials, retry, lookupRetry: QUICK_RETRY })
  const { channel } = viewer
  const requestId = request.exchange.id
  return streamMessages(request, { id: canonicalName(name) }, (send, signal) =>
    importLayers({ images, registry, name, reference, isPublic, channel, requestId, signal, send }),
  )
}

function readReference({ query }: ApiRequest): { name: ImageName; reference: string } {
  const [repo, tag, digest] = ['repo', 'tag', 'digest'].map(name => query.get(name))
  const missing: FieldError[] = []
  if (repo === undefined) missing.push({ field: 'repo', code: 'MissingParameter' })
  if (tag === undefined && digest === undefined) {
    const message = 'one of "tag" or "digest" is required'
    missing.push({ field: 'tag', code: 'MissingParameter', message })
  }
  if (repo === undefined || missing.length > 0) throw invalid('missing parameters', ...missing)
  if (tag !== undefined && digest !== undefined) {
    const message = 'cannot specify both "tag" and "digest"'
    throw invalid(message, { field: 'digest', code: 'Invalid', message })
  }
  if (tag !== undefined && !isTag(tag))
    throw invalid(`"${tag}" is not a tag`, { field: 'tag', code: 'Invalid' })
  if (digest !== undefined && !DIGEST.test(digest)) {
    throw invalid(`"${digest}" is not a sha256 digest`, { field: 'digest', code: 'Invalid' })
  }
  try {
    return { name: parseImageName(repo), reference: (tag ?? digest)! }
  } catch (error) {
    const { message } = error as Error
    throw invalid(message, { field: 'repo', code: 'Invalid', message })
  }
}

/** Returns the credentials of `x-registry-auth`, or those for this registry of `x-registry-config`. */
function readCredentials(request: ApiRequest, { registry }: ImageName) {
  const single = readHeader(request, 'x-registry-auth')
  const several = readHeader(request, 'x-registry-config')
  const names = registry === 'docker.io' ? [registry, 'https://index.docker.io/v1/'] : [registry]
  const given = single ?? names.map(name => several?.[name]).find(isObject)
  if (!given) return undefined
  if (given.identitytoken) {
    throw notImplemented('identity tokens are not supported: send username and password')
  }
  const { username, password } = given
  if (typeof username !== 'string' || username === '' || typeof password !== 'string') return undefined
  return { user: username, password }
}

function readHeader(request: ApiRequest, name: string): Record<string, unknown> | undefined {
  const text = request.header(name)
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64').toString())
    if (isObject(value)) return value
  } catch {
    // Reported below.
  }
  throw badRequest(`the header ${name} is not base64 of a JSON object`)
}
