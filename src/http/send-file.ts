import type { ServerResponse } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { ImgapiError } from '../images/errors.ts'
import type { OpenFile } from '../images/ports.ts'
import { canBeLeftToFront } from './accel.ts'
import { checkPreconditions, isNotModified, type Resource, rangeApplies } from './conditions.ts'
import type { Exchange } from './exchange.ts'
import { commonHeaders, emptyResponse, type Headers } from './respond.ts'

/** Stored bytes on their way out: whole, a range of them, or nothing new (RFC 9110; contract, 8.8). */
export interface FileAnswer {
  size: number
  contentType: string
  /** Base64, on whole answers only: it is the digest of all bytes. */
  md5?: string | undefined
  resource: Resource
  headers?: Headers
  /** Headers that have a front send the bytes in our place. */
  accel?: Headers | undefined
  open(): Promise<OpenFile>
}

interface Range {
  start: number
  end: number
}

/** Never chunked, never compressed, never redirected: imgadm can do nothing with those. */
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
    // That a file is missing is ours to say: the front would call it not found.
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
    // The headers are out: all that can be said now is that the body is not complete.
    if (!outgoing.destroyed) exchange.error = error
    outgoing.destroy()
  } finally {
    await open.close()
  }
  return RESPONSE_ALREADY_SENT
}

const SINGLE_RANGE = /^bytes=\s*(\d*)-(\d*)\s*$/i

/**
 * The one range that a client asked for. Several at once, other units and nonsense mean the whole file, as the
 * RFC allows. Throws RangeNotSatisfiable.
 */
function requestedRange(header: string | undefined, size: number): Range | undefined {
  const [, first, last] = SINGLE_RANGE.exec(header ?? '') ?? []
  if (first === undefined || last === undefined || first + last === '') return undefined
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  if (start >= size) {
    const message = `the range "${header}" is outside of the file's ${size} bytes`
    throw new ImgapiError('RangeNotSatisfiable', message, { headers: { 'Content-Range': `bytes */${size}` } })
  }
  return { start, end: first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1) }
}

/**
 * Two pieces may be on their way into the socket while the next is read; no more, so that a slow client
 * costs three buffers. A client that takes nothing for `stallTimeout` is cut off.
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
