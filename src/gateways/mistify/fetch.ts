import { badRequest } from '../../images/errors.ts'
import { isObject } from '../../images/rules.ts'
import { readSourceUrl } from '../../sources/source-url.ts'
import type { KeyedMutex } from '../../util/keyed-mutex.ts'
import { findBySource, findImage } from './find.ts'
import { newManifest } from './manifest.ts'
import { isMistifyType, type MistifyType } from './record.ts'
import type { MistifyRequest } from './request.ts'

/**
 * Handles POST /images: starts a fetch of an image. If the image or a fetch of the same source exists, answers with
 * it, whatever the type and the comment of the request; a failed fetch is retried under its id.
 */
export const fetchImage =
  (mutex: KeyedMutex) =>
  async (request: MistifyRequest): Promise<Response> => {
    const { images, client } = request.context
    const { source, type, comment } = readFetchRequest(await request.body())
    const url = await readSourceUrl(client, 'source', source)
    const plain = withoutUser(source, url)
    const manifest = newManifest(images.policy, type, comment, plain, images.now())
    // Locks the source, so that two requests for it make one image.
    const id = await mutex.run(plain, () => fetchOnce(request, url, plain, manifest))
    return request.json((await findImage(request, id)).record, 202)
  }

/** Returns the id of the image or the fetch of a source; submits a job if there is none. */
async function fetchOnce(
  request: MistifyRequest,
  url: URL,
  source: string,
  manifest: Record<string, unknown>,
): Promise<string> {
  const { images, jobs } = request.context
  const known = await findBySource(request, source)
  if (known?.job?.state === 'failed') await jobs.retry(known.job, url)
  if (known) return known.record.id
  const job = await jobs.submit({
    task: 'fetch-image',
    image_uuid: images.newUuid(),
    source: url,
    channel: request.viewer.channel,
    fetch: { manifest, source, time_limit: request.settings.fetchTimeout },
  })
  return job.image_uuid
}

interface FetchRequest {
  source: string
  type: MistifyType
  comment: string
}

/**
 * Parses the body of the request. Throws BadRequestError; checks the source before the type, as the original does.
 */
function readFetchRequest(body: unknown): FetchRequest {
  if (body === undefined) throw badRequest('EOF')
  const given = body ?? {}
  if (!isObject(given)) throw badRequest('json: the body is not an object')
  const { source, type, comment } = given
  for (const [name, value] of Object.entries({ source, type, comment })) {
    const isText = value === undefined || value === null || typeof value === 'string'
    if (!isText) throw badRequest(`json: "${name}" is not a string`)
  }
  if (!source) throw badRequest('missing image source')
  if (!isMistifyType(type)) throw badRequest('invalid image type')
  return { source: source as string, type, comment: typeof comment === 'string' ? comment : '' }
}

/** Returns the source as given, or without its user and password, which other callers must not see. */
function withoutUser(given: string, url: URL): string {
  if (!url.username && !url.password) return given
  const plain = new URL(url.href)
  plain.username = ''
  plain.password = ''
  return plain.href
}
