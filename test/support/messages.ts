import { readdirSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { expect } from 'vitest'
import { json, send } from './http.ts'
import { AUTH, type TestServer } from './server.ts'

/** Imports that answer with a message a line while they run: from docker registries and from LXD image servers. */

// biome-ignore lint/suspicious/noExplicitAny: tests look into it in many ways
export type Message = Record<string, any>

/** The whole answer to `POST /images?action=...`; `query`: all that follows the question mark. */
export async function importStreamed(
  server: TestServer,
  query: string,
  headers: Record<string, string> = {},
) {
  const reply = await send(`${server.url}/images?${query}`, 'POST', { headers: { ...AUTH, ...headers } })
  return { reply, messages: messagesIn(reply.body.toString()) }
}

export const messagesIn = (text: string): Message[] =>
  text
    .split('\r\n')
    .filter(line => line.startsWith('{"type"'))
    .map(line => JSON.parse(line))

/** `progress 0123456789ab Downloading` */
export const statusOf = ({ type, payload }: Message) =>
  [type, payload?.id, payload?.status].filter(Boolean).join(' ')

/** The last message says that the mode of the server is against it. */
export function expectForbidden(messages: Message[]) {
  const message = expect.stringMatching(
    /^(public|private) images are not allowed on a (public|private) Images API$/,
  )
  const errors = [{ field: 'public', code: 'Invalid', message }]
  expect(messages.at(-1)).toMatchObject({ type: 'error', error: { code: 'ValidationFailed', errors } })
}

/** The last message is an error. */
export const expectError = (messages: Message[], message: RegExp, code = expect.any(String)) =>
  expect(messages.at(-1)).toMatchObject({
    type: 'error',
    error: { code, message: expect.stringMatching(message) },
  })

/** All images of the server, in whatever state. */
export const listAll = async (server: TestServer) =>
  json(await send(`${server.url}/images?state=all`, 'GET', { headers: AUTH }))

/** Names of what is received or kept for later, which an import that is over has removed. */
export const filesLeft = ({ datadir }: TestServer) => [
  ...readdirSync(`${datadir}/.tmp`),
  ...readdirSync(`${datadir}/.jobs`),
]

/** The request of `importStreamed`, for a look at its messages before the answer ends. */
export function beginImport(server: TestServer, query: string) {
  const outgoing = request(`${server.url}/images?${query}`, { method: 'POST', headers: AUTH })
  outgoing.on('error', () => {})
  outgoing.end()
  let text = ''
  const response = new Promise<IncomingMessage>(resolve => outgoing.once('response', resolve))
  void response.then(incoming => {
    incoming.on('data', chunk => {
      text += chunk
    })
    incoming.on('error', () => {})
  })
  return { response, leave: () => outgoing.destroy(), messages: () => messagesIn(text) }
}
