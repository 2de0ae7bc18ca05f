import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { View } from '../images/image.ts'
import type { ListSlice } from '../images/listing.ts'
import type { ApiRequest } from './api-request.ts'
import { isNotModified } from './conditions.ts'
import { commonHeaders, type Headers, VARY } from './respond.ts'

/** Sends a list of images, from bytes that were made before, compressed for those who ask. */
export async function sendList(
  request: ApiRequest,
  runs: readonly ListSlice[],
  view: View,
): Promise<Response> {
  const { exchange, renderings, service } = request
  const { headers: sent, method } = exchange.incoming
  const list = renderings.list(runs, view)
  const compressedTag = `${list.tag}-gzip`
  const wantsGzip = runs.length > 0 && acceptsGzip(sent['accept-encoding'])
  const validators: Headers = {
    ETag: wantsGzip ? `"${compressedTag}"` : `"${list.tag}"`,
    Vary: `Accept-Encoding, ${VARY}`,
  }
  if (isNotModified(sent, { etags: [list.tag, compressedTag] })) return request.empty(304, validators)
  const zipped = wantsGzip ? await renderings.compressed(runs, view) : undefined
  const length = zipped?.length ?? list.length
  const headers = commonHeaders(exchange)
  headers['Content-Type'] = 'application/json'
  headers['Content-Length'] = String(length)
  if (wantsGzip) headers['Content-Encoding'] = 'gzip'
  const { outgoing } = exchange
  outgoing.writeHead(200, Object.assign(headers, validators))
  if (method === 'HEAD') {
    outgoing.end()
    return RESPONSE_ALREADY_SENT
  }
  exchange.bytes = length
  if (list.text !== undefined && !zipped) {
    outgoing.end(list.text)
    return RESPONSE_ALREADY_SENT
  }
  outgoing.setTimeout(service.images.policy.stallTimeout, () => outgoing.destroy())
  // One system call for all the parts, none of which is copied.
  outgoing.cork()
  for (const part of zipped ? [zipped] : renderings.parts(runs, view)) outgoing.write(part)
  outgoing.end()
  outgoing.uncork()
  return RESPONSE_ALREADY_SENT
}

/** `gzip`, unless with a weight of nought. */
const acceptsGzip = (header: string | string[] | undefined) =>
  typeof header === 'string' && /(^|,)\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*(,|$))|,|$)/.test(header)
