import type { Readable } from 'node:stream'
import type { z } from 'zod'
import { notFound } from '../../images/errors.ts'
import { type HttpClient, readText, SourceError, withoutCredentials } from '../../sources/http-client.ts'
import { statusError } from '../../sources/imgapi/error-body.ts'
import { QUICK_RETRY, type RetryPolicy, withRetries } from '../../sources/retry.ts'

/** The interface of image servers, common to both protocols, and functions to read their lists. */

export interface ImageServer {
  /** Finds an image by its alias. Throws ImgapiError, SourceError, or an error with a message for the user. */
  find(alias: string, signal: AbortSignal): Promise<FoundImage>
}

/** An image as its server describes it. The names of the fields are those of simplestreams. */
export interface ImageDescription {
  fullname: string
  version: string
  /** SHA-256 of all files, concatenated; lower-case hex. */
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
  /** The files of known size, before they are fetched. */
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
  /** The kind of the file, in the terms of simplestreams. */
  ftype: string
  size: number
  /** Whether `size` is only an upper limit. */
  isSizeLimit?: boolean
  /** SHA-256, lower-case hex, if the server says it. */
  sha256?: string
  source: Readable
}

/** Throws ResourceNotFound. */
export function imageNotFound(alias: string, server: URL): never {
  const message = `image "${alias}" was not found at ${withoutCredentials(server)}`
  throw notFound(message)
}

/** Returns the URL with a slash at its end, so that paths are resolved below it. */
export function withSlash(url: URL): URL {
  const folder = new URL(url.href)
  if (!folder.pathname.endsWith('/')) folder.pathname += '/'
  return folder
}

/** Bytes. The lists of the large public servers are a few mebibytes long. */
const LONGEST_LIST = 32 * 1024 * 1024

/** Fetches and validates JSON, with a few quick retries. `protocol`: for messages. Throws SourceError. */
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
  throw new SourceError(`${withoutCredentials(url)} is not a valid answer of ${protocol}`)
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
