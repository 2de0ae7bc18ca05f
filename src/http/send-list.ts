import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { View } from '../images/image.ts'
import type { Run } from '../images/listing.ts'
import { isNotModified } from './conditions.ts'
import type { Exchange } from './exchange.ts'
import { renderRun } from './rendered-run.ts'
import { commonHeaders, emptyResponse, type Headers } from './respond.ts'

/** A list of images on its way out: from bytes that were made before, compressed for those who ask. */

const OPEN = Buffer.from('[\n')
const BETWEEN = Buffer.from(',\n')
const CLOSE = Buffer.from('\n]')
const EMPTY = Buffer.from('[]')

/** Compressed lists to keep; there are few that many clients want. */
const KEPT_LISTS = 8
const compressed = new Map<string, Promise<Buffer>>()

const compress = promisify<Buffer, { level: number }, Buffer>(gzip)

export async function sendList(
  exchange: Exchange,
  serverName: string,
  stallTimeout: number,
  runs: readonly Run[],
  view: View,
): Promise<Response> {
  const { headers: sent, method } = exchange.incoming
  const hash = createHash('sha1')
  const parts: Buffer[] = []
  for (const run of runs) {
    const { bytes, digest } = renderRun(run, view)
    parts.push(parts.length === 0 ? OPEN : BETWEEN, bytes)
    hash.update(digest)
  }
  parts.push(parts.length === 0 ? EMPTY : CLOSE)
  const plainTag = hash.digest('hex')
  const wantsGzip = runs.length > 0 && acceptsGzip(sent['accept-encoding'])
  const etag = wantsGzip ? `${plainTag}-gzip` : plainTag
  const validators: Headers = { ETag: `"${etag}"`, Vary: 'Accept-Encoding' }
  if (isNotModified(sent, { etags: [plainTag, `${plainTag}-gzip`] })) {
    return emptyResponse(exchange, serverName, 304, validators)
  }
  const body = wantsGzip ? [await gzipped(plainTag, parts)] : parts
  const length = body.reduce((total, part) => total + part.length, 0)
  const headers = {
    ...validators,
    ...(wantsGzip && { 'Content-Encoding': 'gzip' }),
    'Content-Type': 'application/json',
    'Content-Length': String(length),
    ...commonHeaders(exchange, serverName),
  }
  const { outgoing } = exchange
  outgoing.writeHead(200, headers)
  if (method === 'HEAD') {
    outgoing.end()
    return RESPONSE_ALREADY_SENT
  }
  exchange.bytes = length
  outgoing.setTimeout(stallTimeout, () => outgoing.destroy())
  // One system call for all the parts, none of which is copied.
  outgoing.cork()
  for (const part of body) outgoing.write(part)
  outgoing.end()
  outgoing.uncork()
  return RESPONSE_ALREADY_SENT
}

/** `gzip`, unless with a weight of nought. */
const acceptsGzip = (header: string | string[] | undefined) =>
  typeof header === 'string' && /(^|,)\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*(,|$))|,|$)/.test(header)

/** Off the main thread, and once however many ask. The fastest level makes a fifteenth of a list. */
function gzipped(tag: string, parts: readonly Buffer[]): Promise<Buffer> {
  let result = compressed.get(tag)
  if (!result) {
    result = compress(Buffer.concat(parts), { level: constants.Z_BEST_SPEED })
    compressed.set(tag, result)
    result.catch(() => compressed.delete(tag))
    if (compressed.size > KEPT_LISTS) compressed.delete(compressed.keys().next().value as string)
  }
  return result
}
