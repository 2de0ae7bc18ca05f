import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { View } from '../images/image.ts'
import type { Run } from '../images/listing.ts'
import { isNotModified } from './conditions.ts'
import type { Exchange } from './exchange.ts'
import { renderRun, viewKey } from './rendered-run.ts'
import { commonHeaders, emptyResponse, type Headers, VARY } from './respond.ts'

/** A list of images on its way out: from bytes that were made before, compressed for those who ask. */

interface RenderedList {
  /** All of it, where it is short: a text goes out in one piece with the headers. */
  text?: string | undefined
  /** In bytes. */
  length: number
  /** Unquoted; the compressed variant's has `-gzip` behind it. */
  tag: string
}

const OPEN = Buffer.from('[\n')
const BETWEEN = Buffer.from(',\n')
const CLOSE = Buffer.from('\n]')
const EMPTY = Buffer.from('[]')

/** Bytes up to which a list is kept as one text; a longer one is put together from its rows each time. */
const SHORT = 32 * 1024

/** By the runs themselves, which are the same as long as nothing changes, and the view of them. */
const rendered = new WeakMap<readonly Run[], Map<number, RenderedList>>()

function renderList(runs: readonly Run[], view: View): RenderedList {
  const key = viewKey(view)
  let byView = rendered.get(runs)
  if (!byView) {
    byView = new Map()
    rendered.set(runs, byView)
  }
  let list = byView.get(key)
  if (!list) {
    list = assemble(runs, view)
    byView.set(key, list)
  }
  return list
}

function assemble(runs: readonly Run[], view: View): RenderedList {
  const hash = createHash('sha1')
  for (const run of runs) hash.update(renderRun(run, view).digest)
  const parts = partsOf(runs, view)
  const length = parts.reduce((total, part) => total + part.length, 0)
  return {
    text: length > SHORT ? undefined : Buffer.concat(parts).toString(),
    length,
    tag: hash.digest('hex'),
  }
}

function partsOf(runs: readonly Run[], view: View): Buffer[] {
  if (runs.length === 0) return [EMPTY]
  const parts = runs.flatMap((run, index) => [index === 0 ? OPEN : BETWEEN, renderRun(run, view).bytes])
  parts.push(CLOSE)
  return parts
}

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
  const list = renderList(runs, view)
  const compressedTag = `${list.tag}-gzip`
  const wantsGzip = runs.length > 0 && acceptsGzip(sent['accept-encoding'])
  const validators: Headers = {
    ETag: wantsGzip ? `"${compressedTag}"` : `"${list.tag}"`,
    Vary: `Accept-Encoding, ${VARY}`,
  }
  if (isNotModified(sent, { etags: [list.tag, compressedTag] })) {
    return emptyResponse(exchange, serverName, 304, validators)
  }
  const zipped = wantsGzip ? await gzipped(list.tag, () => partsOf(runs, view)) : undefined
  const length = zipped?.length ?? list.length
  const headers = commonHeaders(exchange, serverName)
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
  outgoing.setTimeout(stallTimeout, () => outgoing.destroy())
  // One system call for all the parts, none of which is copied.
  outgoing.cork()
  for (const part of zipped ? [zipped] : partsOf(runs, view)) outgoing.write(part)
  outgoing.end()
  outgoing.uncork()
  return RESPONSE_ALREADY_SENT
}

/** `gzip`, unless with a weight of nought. */
const acceptsGzip = (header: string | string[] | undefined) =>
  typeof header === 'string' && /(^|,)\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*(,|$))|,|$)/.test(header)

/** Off the main thread, and once however many ask. The fastest level makes a fifteenth of a list. */
function gzipped(tag: string, partsOf: () => Buffer[]): Promise<Buffer> {
  let result = compressed.get(tag)
  if (!result) {
    result = compress(Buffer.concat(partsOf()), { level: constants.Z_BEST_SPEED })
    compressed.set(tag, result)
    result.catch(() => compressed.delete(tag))
    if (compressed.size > KEPT_LISTS) compressed.delete(compressed.keys().next().value as string)
  }
  return result
}
