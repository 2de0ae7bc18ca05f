import type { ServerResponse } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { rangeNotSatisfiable } from '../images/errors.ts'
import type { OpenFile } from '../images/ports.ts'
import { canBeLeftToFront } from './accel.ts'
import { checkPreconditions, isNotModified, type Resource, rangeApplies } from './conditions.ts'
import type { Exchange } from './exchange.ts'
import { commonHeaders, emptyResponse, type Headers } from './respond.ts'

/** A stored file to send: whole, a range of it, or 304 (RFC 9110; contract, 8.8). */
export interface FileAnswer {
  size: number
  contentType: string
  /** Base64 MD5 of the whole file; it is not sent with a range. */
  md5?: string | undefined
  resource: Resource
  headers?: Headers
  /** Headers by which a front sends the bytes instead of this server. */
  accel?: Headers | undefined
  open(): Promise<OpenFile>
}

interface Range {
  start: number
  end: number
}

/**
 * Sends a file, never chunked, compressed or redirected, because imgadm supports none of these. Throws
 * PreconditionFailed, RangeNotSatisfiable, or the error of opening the file.
 */
export async function sendFile(
  exchange: Exchange,
  stallTimeout: number,
  file: FileAnswer,
): Promise<Response> {
  const { incoming, outgoing } = exchange
  const { resource, size } = file
  checkPreconditions(incoming.headers, resource)
  const validators: Headers = {
    ETag: `"${resource.etags[0]}"`,
    ...(resource.modified && { 'Last-Modified': resource.modified.toUTCString() }),
  }
  if (isNotModified(incoming.headers, resource)) return emptyResponse(exchange, 304, validators)
  const range = rangeApplies(incoming.headers, resource)
    ? requestedRange(incoming.headers.range, size)
    : undefined
  if (file.accel && canBeLeftToFront(incoming.headers, range !== undefined)) {
    // Report a missing file as an error of the storage: the front would answer 404.
    await (await file.open()).close()
    return emptyResponse(exchange, 200, {
      ...validators,
      ...file.headers,
      'Content-Type': file.contentType,
      'Content-Length': '0',
      ...(!range && file.md5 && { 'Content-MD5': file.md5 }),
      ...file.accel,
    })
  }
  const { start, end } = range ?? { start: 0, end: size - 1 }
  const headers: Headers = {
    ...validators,
    ...file.headers,
    'Content-Type': file.contentType,
    'Content-Length': String(end - start + 1),
    'Accept-Ranges': 'bytes',
    ...(range && { 'Content-Range': `bytes ${start}-${end}/${size}` }),
    ...(!range && file.md5 && { 'Content-MD5': file.md5 }),
    ...commonHeaders(exchange),
  }
  const status = range ? 206 : 200
  if (incoming.method === 'HEAD') {
    outgoing.writeHead(status, headers).end()
    return RESPONSE_ALREADY_SENT
  }
  const open = await file.open()
  try {
    outgoing.writeHead(status, headers)
    await sendBytes(exchange, open.chunks(start, end), stallTimeout)
  } catch (error) {
    // The headers are sent, so closing the connection is the only way to report an incomplete body.
    if (!outgoing.destroyed) exchange.error = error
    outgoing.destroy()
  } finally {
    await open.close()
  }
  return RESPONSE_ALREADY_SENT
}

/**
 * Not `range-parser`: 1.3 answers `bytes=-5000` of a shorter file and `bytes=9-5` as if they were outside of the file;
 * 2.0 needs Node 22.
 */
const SINGLE_RANGE = /^bytes=\s*(\d*)-(\d*)\s*$/i

/**
 * Returns the requested range. Several ranges, other units and invalid syntax are ignored, as the RFC allows. Throws
 * RangeNotSatisfiable.
 */
function requestedRange(header: string | undefined, size: number): Range | undefined {
  const [, first, last] = SINGLE_RANGE.exec(header ?? '') ?? []
  if (first === undefined || last === undefined || first + last === '') return undefined
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  if (start >= size) {
    throw rangeNotSatisfiable(header, size)
  }
  return { start, end: first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1) }
}

/**
 * Sends the chunks. Two may be buffered in the socket while the next is read, so that a slow client takes three
 * buffers. The connection of a client that reads nothing for `stallTimeout` is closed.
 */
async function sendBytes(exchange: Exchange, chunks: AsyncIterable<Buffer>, stallTimeout: number) {
  const { outgoing } = exchange
  outgoing.setTimeout(stallTimeout, () => outgoing.destroy())
  let earlier: Promise<void> = Promise.resolve()
  for await (const chunk of chunks) {
    const sent = write(outgoing, chunk)
    sent.catch(() => {})
    await earlier
    exchange.bytes += chunk.length
    earlier = sent
  }
  await earlier
  outgoing.end()
}

function write(outgoing: ServerResponse, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    if (outgoing.destroyed) return reject(new Error('the client went away'))
    const onClose = () => reject(new Error('the client went away'))
    outgoing.once('close', onClose)
    outgoing.write(chunk, error => {
      outgoing.off('close', onClose)
      if (error) reject(error)
      else resolve()
    })
  })
}
