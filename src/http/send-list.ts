import type { IncomingHttpHeaders } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import Negotiator from 'negotiator'
import type { View } from '../images/image.ts'
import type { ListSlice } from '../images/listing.ts'
import type { ApiRequest } from './api-request.ts'
import { isNotModified } from './conditions.ts'
import { commonHeaders, type Headers, VARY } from './respond.ts'

/** Sends a list of images from cached renderings, compressed if the client prefers gzip; 304 if it is unchanged. */
export async function sendList(
  request: ApiRequest,
  slices: readonly ListSlice[],
  view: View,
): Promise<Response> {
  const { exchange, renderings, service } = request
  const { headers: sent, method } = exchange.incoming
  const list = renderings.list(slices, view)
  const compressedTag = `${list.tag}-gzip`
  const isGzip = slices.length > 0 && prefersGzip(sent)
  const validators: Headers = {
    ETag: isGzip ? `"${compressedTag}"` : `"${list.tag}"`,
    Vary: `Accept-Encoding, ${VARY}`,
  }
  if (isNotModified(sent, { etags: [list.tag, compressedTag] })) return request.empty(304, validators)
  const zipped = isGzip ? await renderings.compressed(slices, view) : undefined
  const length = zipped?.length ?? list.length
  const headers = commonHeaders(exchange)
  headers['Content-Type'] = 'application/json'
  headers['Content-Length'] = String(length)
  if (isGzip) headers['Content-Encoding'] = 'gzip'
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
  // Corked, so that one system call writes all parts without copying them.
  outgoing.cork()
  for (const part of zipped ? [zipped] : renderings.parts(slices, view)) outgoing.write(part)
  outgoing.end()
  outgoing.uncork()
  return RESPONSE_ALREADY_SENT
}

/** Returns whether the client accepts gzip, and does not prefer bytes that are not compressed. */
const prefersGzip = ({ 'accept-encoding': accepted }: IncomingHttpHeaders) =>
  accepted !== undefined &&
  new Negotiator({ headers: { 'accept-encoding': accepted } }).encoding(['gzip', 'identity']) === 'gzip'
