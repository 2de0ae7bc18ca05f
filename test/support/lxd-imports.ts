import { expect } from 'vitest'
import { send } from './http.ts'
import { importStreamed } from './messages.ts'
import type { TestServer } from './server.ts'

/** `POST /images?action=import-lxd-image`, and what it leaves. */

/** `image`: as `REGISTRY:ALIAS`. */
export const importLxd = (server: TestServer, image: string, more = '') =>
  importStreamed(server, `action=import-lxd-image&alias=${encodeURIComponent(image)}${more}`)

/** The image that is made of what LXD knows by that fingerprint. */
export const uuidOf = (fingerprint: string) =>
  fingerprint.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')

export const fetchFiles = (server: TestServer, uuid: string, count: number) =>
  Promise.all(
    Array.from({ length: count }, async (_, index) => {
      return (await send(`${server.url}/images/${uuid}/file?index=${index}`, 'GET')).body
    }),
  )

/** Compared as bytes: an assertion on large buffers takes seconds. */
export async function expectFiles(server: TestServer, fingerprint: string, files: readonly Buffer[]) {
  const found = await fetchFiles(server, uuidOf(fingerprint), files.length)
  expect(found.map((bytes, index) => bytes.equals(files[index]!))).toEqual(files.map(() => true))
}
