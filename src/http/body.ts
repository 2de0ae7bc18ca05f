import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { ImgapiError, upload } from '../images/errors.ts'
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

async function collect(exchange: Exchange, timeout: number): Promise<Buffer> {
  const length = Number(exchange.incoming.headers['content-length'] ?? 0)
  if (length > MAX_SIZE) throw tooLarge()
  const { incoming } = exchange
  if (!incoming.headers['transfer-encoding'] && length === 0) return Buffer.alloc(0)
  const source = openBody(exchange)
  const chunks: Buffer[] = []
  let size = 0
  await new Promise<void>((resolve, reject) => {
    const onLate = () =>
      finish(new ImgapiError('BadRequestError', `the body did not arrive within ${timeout / 1000} seconds`))
    const timer = setTimeout(onLate, timeout)
    const onData = (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_SIZE) finish(tooLarge())
      else chunks.push(chunk)
    }
    const onEnd = () => finish()
    const onClose = () => finish(upload('the client went away'))
    const finish = (error?: Error) => {
      clearTimeout(timer)
      source.off('data', onData).off('end', onEnd).off('error', onClose).off('close', onClose)
      source.on('error', () => {})
      if (error) reject(error)
      else resolve()
    }
    source.on('data', onData).on('end', onEnd).on('error', onClose).on('close', onClose)
  })
  return Buffer.concat(chunks)
}

const tooLarge = () => new ImgapiError('PayloadTooLarge', `the request body is larger than ${MAX_SIZE} bytes`)

function checkDigest(expected: string | string[] | undefined, bytes: Buffer) {
  if (typeof expected !== 'string') return
  const actual = createHash('md5').update(bytes).digest('base64')
  if (expected !== actual) {
    throw new ImgapiError('BadDigest', `Content-MD5 '${expected}' didn't match '${actual}'`)
  }
}

async function inflate(bytes: Buffer): Promise<Buffer> {
  const gunzip = createGunzip()
  const chunks: Buffer[] = []
  let size = 0
  try {
    gunzip.end(bytes)
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > MAX_SIZE) throw tooLarge()
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof ImgapiError) throw error
    throw new ImgapiError('InvalidContent', `Invalid gzip body: ${(error as Error).message}`)
  }
  return Buffer.concat(chunks)
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function decodeText(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new ImgapiError('InvalidContent', 'Invalid JSON: the body is not UTF-8')
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
    throw new ImgapiError('InvalidContent', `Invalid JSON: the body ${(error as Error).message}`)
  }
}
