import { describe, expect, onTestFinished, test } from 'vitest'
import { ImgapiClient } from '../../../src/client/client.ts'
import { HttpClient } from '../../../src/sources/http-client.ts'
import { readErrorBody } from '../../../src/sources/imgapi/error-body.ts'
import type { ImgapiReader } from '../../../src/sources/imgapi/reader.ts'
import { ImgapiSource } from '../../../src/sources/imgapi/source.ts'
import { remoteManifest, sendJson, startSource } from '../../support/source.ts'

/** What the command line, mirrors and jobs share: one reader over two transports. */

const READERS: Record<string, (url: URL) => ImgapiReader> = {
  'the command line': url => {
    const channel = url.searchParams.get('channel') ?? undefined
    const client = new ImgapiClient(
      { url: new URL(url.origin + url.pathname), channel, insecure: false },
      { userAgent: 'test' },
    )
    onTestFinished(() => client.close())
    return client
  },
  'the server': url => {
    const client = new HttpClient({
      allowPrivate: true,
      stallTimeout: 10_000,
      userAgent: 'test',
      sources: [],
    })
    onTestFinished(() => client.close())
    return new ImgapiSource(client, url)
  },
}

const image = remoteManifest(Buffer.from('x'))
const { uuid } = image

describe.each(Object.entries(READERS))('%s', (_name, open) => {
  const answering = async (status: number, body: unknown, path = '') => {
    const source = await startSource((_, response) => {
      if (typeof body === 'string') response.writeHead(status).end(body)
      else sendJson(response, status, body)
    })
    return { source, reader: open(new URL(source.url + path)) }
  }

  test('asks below the path of the URL, in its channel', async () => {
    const { source, reader } = await answering(200, [image], '/base/?channel=dev')
    expect(await reader.listImages({ state: 'all', name: undefined })).toEqual([image])
    expect(source.requests.map(({ path }) => path)).toEqual(['/base/images?channel=dev&state=all&limit=1000'])
    expect(reader.fileUrl(uuid, 1).href).toBe(`${source.url}/base/images/${uuid}/file?channel=dev&index=1`)
    expect(reader.fileUrl(uuid).search).toBe('?channel=dev')
  })

  test('gets an image', async () => {
    const { reader } = await answering(200, image)
    expect(await reader.getImage(uuid)).toEqual(image)
    expect(await reader.findImage(uuid)).toEqual(image)
  })

  test.each<[string, unknown, RegExp]>([
    ['the manifest of another image', { ...image, uuid: '0' }, /answers with the manifest of another image/],
    ['a list', [image], /does not answer with a manifest/],
    ['no JSON', '<html>', /does not answer with JSON/],
  ])('takes %s for no image', async (_what, body, message) => {
    const { reader } = await answering(200, body)
    await expect(reader.getImage(uuid)).rejects.toThrow(message)
    await expect(reader.findImage(uuid)).rejects.toThrow(message)
  })

  test.each([[{ images: [image] }], [[image, null]], ['<html>']])('takes %j for no list', async body => {
    const { reader } = await answering(200, body)
    await expect(reader.listImages()).rejects.toThrow(/does not answer with (a list of images|JSON)/)
  })

  test('an image is absent if the server says so; a proxy or a wrong path proves nothing', async () => {
    const { reader } = await answering(404, { code: 'ResourceNotFound', message: 'no such image' })
    expect(await reader.findImage(uuid)).toBeUndefined()
    await expect(reader.getImage(uuid)).rejects.toMatchObject({ status: 404, message: 'no such image' })
    const { reader: wrong } = await answering(404, '<html>')
    await expect(wrong.findImage(uuid)).rejects.toMatchObject({ status: 404 })
  })
})

test.each([
  [
    '{"code":"X","message":"m","errors":[{"field":"f","code":"Invalid"}]}',
    { code: 'X', message: 'm', errors: [{ field: 'f', code: 'Invalid' }] },
  ],
  [
    '{"code":"X","errors":[null,{"field":1},{"field":"f"},{"field":"f","code":"c","message":2}]}',
    { code: 'X', errors: [] },
  ],
  ['{"code":1,"message":{},"errors":"e"}', {}],
  ['null', {}],
  ['[]', {}],
  ['<html>', {}],
  ['', {}],
])('of the error body %s only what is one of the API is taken', (body, expected) => {
  expect(readErrorBody(body)).toEqual(expected)
})
