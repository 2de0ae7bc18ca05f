import type { Readable } from 'node:stream'
import type { z } from 'zod'
import { ImgapiError } from '../../images/errors.ts'
import { type HttpClient, readText, SourceError, withoutCredentials } from '../../sources/http-client.ts'
import { QUICK_RETRY, type RetryPolicy, statusError, withRetries } from '../../sources/resumable.ts'

/** What imports need of an image server, whichever protocol it speaks, and how its lists are read. */

export interface ImageServer {
  /** Finds an image by its alias. Throws ImgapiError, SourceError, or an error that says what is wrong. */
  find(alias: string, signal: AbortSignal): Promise<FoundImage>
}

/** An image as its server describes it. The names of the fields are those of simplestreams. */
export interface ImageDescription {
  fullname: string
  version: string
  /** Of all files, one after the other: SHA-256, lower-case hex. */
  fingerprint: string
  arch: string
  /** Separated by commas. */
  aliases: string
  os?: string | undefined
  pubname?: string | undefined
  release?: string | undefined
  release_title?: string | undefined
}

export interface FoundImage extends ImageDescription {
  /** What is known of the files before they are asked for. */
  listed: readonly { path: string; size: number }[]
  /** The metadata and the root file system, or one file that has both, to be read in this order. */
  files(transfer: Transfer): AsyncIterable<OfferedFile>
}

export interface Transfer {
  signal: AbortSignal
  retry: RetryPolicy
  onRetry(error: Error): void
}

export interface OfferedFile {
  path: string
  /** As simplestreams names what kind of file it is. */
  ftype: string
  size: number
  /** Whether `size` is only the most that it can have. */
  isSizeLimit?: boolean
  /** SHA-256, lower-case hex, if the server says it. */
  sha256?: string
  source: Readable
}

/** Throws ResourceNotFound. */
export function imageNotFound(alias: string, server: URL): never {
  const message = `image "${alias}" was not found at ${withoutCredentials(server)}`
  throw new ImgapiError('ResourceNotFound', message)
}

/** The URL of a server with a slash at its end, so that paths are relative to it. */
export function withSlash(url: URL): URL {
  const folder = new URL(url.href)
  if (!folder.pathname.endsWith('/')) folder.pathname += '/'
  return folder
}

/** Bytes. The lists of the large public servers have a few mebibytes. */
const LONGEST_LIST = 32 * 1024 * 1024

/** Gets JSON, with a few quick tries. `protocol`: for messages. Throws SourceError. */
export async function getJson<T>(
  client: HttpClient,
  url: URL,
  { schema, protocol, signal }: { schema: z.ZodType<T>; protocol: string; signal: AbortSignal },
): Promise<T> {
  const ask = async () => {
    const { status, bytes } = await client.get(url, { accept: 'application/json' }, signal)
    const text = await readText(bytes, url, signal, LONGEST_LIST)
    if (status !== 200) throw statusError(url, status, text)
    return text
  }
  const result = schema.safeParse(parse(await withRetries(ask, { retry: QUICK_RETRY, signal })))
  if (result.success) return result.data
  throw new SourceError(`${withoutCredentials(url)} is not what ${protocol} has there`)
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
