import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { loadClient } from './old-clients.ts'
import { PASSWORD, type TestServer, USER } from './server.ts'

/** The client library of the datacenters, as npm has it, with promises in place of its callbacks. */

export interface SdcError extends Error {
  statusCode: number
  restCode?: string
  body: { code: string; message: string; errors?: { field: string; code: string }[] }
}

type Json = Record<string, unknown>

export interface Image extends Json {
  uuid: string
  state: string
  files: { sha1: string; size: number; compression: string }[]
}

/** What of the library the tests use. The last argument is the callback, which we add. */
interface Methods {
  ping(error?: string): Json
  listImages(filters?: Json, options?: Json): Image[]
  getImage(uuid: string, ...rest: unknown[]): Image
  createImage(manifest: Json, ...rest: unknown[]): Image
  adminImportImage(manifest: Json, options?: Json): Image
  addImageFile(options: Json, account?: string): Image
  getImageFile(uuid: string, path: string, ...rest: unknown[]): unknown
  getImageFileStream(uuid: string, ...rest: unknown[]): Readable
  addImageIcon(options: Json, account?: string): Image
  getImageIcon(uuid: string, path: string, ...rest: unknown[]): unknown
  getImageIconStream(uuid: string, ...rest: unknown[]): Readable
  deleteImageIcon(uuid: string, ...rest: unknown[]): Image
  activateImage(uuid: string, ...rest: unknown[]): Image
  disableImage(uuid: string, ...rest: unknown[]): Image
  enableImage(uuid: string, ...rest: unknown[]): Image
  updateImage(uuid: string, changes: Json, ...rest: unknown[]): Image
  deleteImage(uuid: string, ...rest: unknown[]): unknown
  addImageFileFromUrl(options: Json): Image
  adminImportRemoteImage(uuid: string, source: string, options?: Json): Json
  adminImportRemoteImageAndWait(uuid: string, source: string, options?: Json): Image
  importImageFromDatacenter(uuid: string, account: string, options: Json): Json
  importImageFromDatacenterAndWait(uuid: string, account: string, options: Json): Image
  addImageAcl(uuid: string, acl: string[], account?: string): Image
  removeImageAcl(uuid: string, acl: string[], account?: string): Image
  cloneImage(uuid: string, account: string, options?: Json): Image
  exportImage(uuid: string, options: Json): Json
  listChannels(options: Json): Json[]
  channelAddImage(options: Json): Image
  adminImportDockerImage(options: Json): IncomingMessage
  adminGetState(): Json
  adminReloadAuthKeys(): unknown
  adminChangeStor(options: Json): Image
}

export type SdcClient = {
  [Name in keyof Methods]: (...args: Parameters<Methods[Name]>) => Promise<ReturnType<Methods[Name]>>
}

/** A client with the test user's credentials, unless `options` say otherwise. */
export function sdcClient({ url }: Pick<TestServer, 'url'>, options: Json = {}): SdcClient {
  const { createClient } = loadClient('sdc-clients/lib/imgapi')
  const client = createClient({ url, user: USER, password: PASSWORD, retry: false, ...options })
  onTestFinished(() => client.close())
  const call =
    (name: string) =>
    (...args: unknown[]) =>
      new Promise((resolve, reject) => {
        client[name](...args, (error: Error | null, value: unknown) => {
          if (error) reject(error)
          else resolve(value)
        })
      })
  return new Proxy({} as SdcClient, { get: (_, name) => call(String(name)) })
}

/** The error that a call must end with. */
export async function failureOf(call: Promise<unknown>): Promise<SdcError> {
  try {
    await call
  } catch (error) {
    return error as SdcError
  }
  throw new Error('the call succeeded')
}
