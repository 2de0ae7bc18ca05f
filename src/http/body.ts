import { createHash } from 'node:crypto'
import { on } from 'node:events'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import {
  badDigest,
  badRequest,
  ImgapiError,
  invalidContent,
  payloadTooLarge,
  upload,
} from '../images/errors.ts'
import { parseManifest } from '../images/written-text.ts'
import type { Exchange } from './exchange.ts'
import { Query } from './query.ts'

/** Request bodies that are values: JSON, whatever the Content-Type, or a form (reference contract, 2.5). */

const MAX_SIZE = 1024 * 1024

/** Returns the stream of the body, after sending `100 Continue` to a client that waits for it. */
export function openBody({ incoming, outgoing }: Exchange): Readable {
  if (incoming.headers.expect?.toLowerCase() === '100-continue') outgoing.writeContinue()
  return incoming
}

/**
 * Reads the body as a value. Returns undefined if it is empty. `timeout`: milliseconds for the whole body. Throws
 * InvalidContent, BadDigest, PayloadTooLarge, or Upload if the connection is closed early.
 */
export async function readBody(exchange: Exchange, timeout: number): Promise<unknown> {
  const { headers } = exchange.incoming
  const sent = await collect(exchange, timeout)
  checkDigest(headers['content-md5'], sent)
  const bytes = headers['content-encoding'] === 'gzip' ? await inflate(sent) : sent
  if (bytes.length === 0) return undefined
  const text = decodeText(bytes)
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  return type === 'application/x-www-form-urlencoded' && isForm(text) ? parseForm(text) : readJson(text)
}

/**
 * Reads the bytes of the body. The connection stays open after an error, so that the answer arrives. That is why this
 * is neither Node's iterator, which destroys the stream, nor `raw-body`, which has no time limit and adds 600 kB of
 * character sets to the program.
 */
async function collect(exchange: Exchange, timeout: number): Promise<Buffer> {
  const { headers } = exchange.incoming
  const length = Number(headers['content-length'] ?? 0)
  if (length > MAX_SIZE) throw tooLarge()
  if (!headers['transfer-encoding'] && length === 0) return Buffer.alloc(0)
  const source = openBody(exchange)
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), timeout)
  const chunks: Buffer[] = []
  let size = 0
  try {
    // A broken connection may be reported after the loop has ended.
    source.on('error', () => {})
    for await (const [chunk] of on(source, 'data', { signal: late.signal, close: ['end', 'close'] })) {
      size += chunk.length
      if (size > MAX_SIZE) throw tooLarge()
      chunks.push(chunk)
    }
  } catch (error) {
    if (late.signal.aborted) throw badRequest(`the body did not arrive within ${timeout / 1000} seconds`)
    throw error instanceof ImgapiError ? error : upload('the client went away')
  } finally {
    clearTimeout(timer)
  }
  if (!source.readableEnded) throw upload('the client went away')
  return Buffer.concat(chunks)
}

const tooLarge = () => payloadTooLarge(`the request body is larger than ${MAX_SIZE} bytes`)

function checkDigest(expected: string | string[] | undefined, bytes: Buffer) {
  if (typeof expected !== 'string') return
  const actual = createHash('md5').update(bytes).digest('base64')
  if (expected !== actual) throw badDigest(expected, actual)
}

const unzip = promisify(gunzip)

async function inflate(bytes: Buffer): Promise<Buffer> {
  try {
    return await unzip(bytes, { maxOutputLength: MAX_SIZE })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge() : invalidContent(`Invalid gzip body: ${message}`)
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function decodeText(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw invalidContent('Invalid JSON: the body is not UTF-8')
  }
}

/** `curl --data-binary` sends the Content-Type of a form with any body, so text that starts like JSON is not a form. */
const isForm = (text: string) => !/^\s*[[{"]/.test(text) && text.includes('=')

const parseForm = (text: string) => Object.fromEntries(new Query(text.trim()).startingWith(''))

function readJson(text: string): unknown {
  if (text.trim() === '') return undefined
  try {
    return parseManifest(text)
  } catch (error) {
    throw invalidContent(`Invalid JSON: the body ${(error as Error).message}`)
  }
}
