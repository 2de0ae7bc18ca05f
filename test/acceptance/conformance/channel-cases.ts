import { addFile, call, manifest } from '../../support/api.ts'
import type { TestServer } from '../../support/server.ts'
import { CONTENT, type Expectation, failure, notFound } from './runner.ts'

/** What the cases about channels (section 6) have in common. */

export const CHANNELS = [
  { name: 'dev', description: 'everything' },
  { name: 'release', description: 'what is done', default: true },
  { name: 'empty', description: 'nothing yet' },
]

export const unknownChannel = (name: string): Expectation => ({
  ...failure(422, 'ValidationFailed', `unknown channel: ${name}`),
  errors: [{ field: 'channel', code: 'Invalid' }],
})
export const noDefault: Expectation = {
  ...failure(422, 'ValidationFailed', 'channel not specified and the server has no default channel'),
  errors: [{ field: 'channel', code: 'MissingParameter' }],
}
export const notInChannel = notFound('image not found')
/** Version 2 of the API, which shows `channels`. */
export const v2 = { 'accept-version': '~2' }
export const add = (channel: unknown, query = '') => ({
  request: `POST /images/{image}?action=channel-add${query}`,
  body: { channel },
})

export async function publishIn(server: TestServer, channel: string, name: string) {
  const { body } = await call(server, 'POST', `/images?channel=${channel}`, { body: manifest({ name }) })
  await addFile(server, body.uuid, CONTENT, `compression=none&channel=${channel}`)
  const icon = { body: CONTENT, headers: { 'content-type': 'image/png' } }
  await call(server, 'PUT', `/images/${body.uuid}/icon?channel=${channel}`, icon)
  await call(server, 'POST', `/images/${body.uuid}?action=activate&channel=${channel}`)
  return body.uuid as string
}

export async function setup(server: TestServer) {
  const dev = await publishIn(server, 'dev', 'in-dev')
  const release = await publishIn(server, 'release', 'in-release')
  const both = await publishIn(server, 'release', 'in-both')
  await call(server, 'POST', `/images/${both}?action=channel-add&channel=release`, {
    body: { channel: 'dev' },
  })
  return { dev, release, both }
}
