import { type Answer, bytes, call, sha1 } from '../support/api.ts'
import { askImport, finished } from '../support/imports.ts'
import { layerOf } from '../support/layers.ts'
import { messagesIn } from '../support/messages.ts'
import { ScriptedRegistry } from '../support/scripted-registry.ts'
import type { TestServer } from '../support/server.ts'
import { imgapi, remoteManifest, sendContent, startSource } from '../support/source.ts'
import { alice, imageOf, listed, OPERATIONS, type Operation, SMALL } from './operations.ts'

/** Images that the server makes by itself, of bytes that it gets from elsewhere: they appear complete. */

/** Every kind of change. The last one is a job, whose answer is there when it is over. */
export const startOperations = async (): Promise<Operation[]> => [
  ...OPERATIONS,
  mistifyUpload,
  await startMistifyFetch(),
  await startDockerImport(),
  await startImport(),
]

const failure = (answer: Answer, { code, message }: { code: string; message: string }): Answer => ({
  ...answer,
  status: 503,
  body: { code, message },
  text: message,
})

/** What its client reads in the end. */
async function outcome(server: TestServer, answer: Answer, job: string): Promise<Answer> {
  const { state, error } = await finished(server, job)
  return state === 'succeeded' ? answer : failure(answer, error)
}

async function has(server: TestServer, query: string, ...contents: Buffer[]) {
  const found = new Set((await listed(server, query)).map(({ files }) => files[0]?.sha1))
  return contents.every(content => found.has(sha1(content)))
}

/** Its errors have the status in place of a code. */
async function askMistify(server: TestServer, method: 'PUT' | 'POST', options: Options) {
  const answer = await call(server, method, '/mistify/images', options)
  const isDown = answer.status === 503 && answer.text.includes('storage is down')
  return isDown ? failure(answer, { ...answer.body, code: 'StorageIsDown' }) : answer
}

type Options = Parameters<typeof call>[3]

const mistifyUpload: Operation = {
  name: 'mistify-upload',
  prepare: async server => {
    const body = bytes(SMALL)
    const headers = { 'x-image-type': 'kvm' }
    return {
      run: () => askMistify(server, 'PUT', { body, headers }),
      repeated: [],
      isDone: () => has(server, 'name=mistify-kvm', body),
    }
  },
}

async function startMistifyFetch(): Promise<Operation> {
  const contents = new Map<string, Buffer>()
  const { url } = await startSource((request, response) =>
    sendContent(contents.get(request.url!)!, request, response),
  )
  return {
    name: 'mistify-fetch',
    prepare: async (server, name) => {
      const content = bytes(SMALL)
      contents.set(`/${name}`, content)
      return {
        run: async () => {
          const body = { source: `${url}/${name}`, type: 'kvm' }
          const answer = await askMistify(server, 'POST', { body })
          if (answer.status !== 202) return answer
          const jobs = (await call(server, 'GET', '/jobs')).body as { uuid: string; image_uuid: string }[]
          const { uuid } = jobs.find(({ image_uuid }) => image_uuid === answer.body.id)!
          const over = await outcome(server, answer, uuid)
          const record = (await call(server, 'GET', `/mistify/images/${answer.body.id}`)).body
          return record.status === 'complete' ? answer : over
        },
        repeated: [],
        isDone: () => has(server, `name=${name}`, content),
      }
    },
  }
}

/** An image of two layers, each an image here. */
async function startDockerImport(): Promise<Operation> {
  const registry = await new ScriptedRegistry().start()
  const repository = `${registry.url.replace('http://', '')}/app`
  return {
    name: 'docker-import',
    prepare: async (server, tag) => {
      const layers = ['base', 'app'].map(name => layerOf({ name, content: tag }))
      await registry.put(`app:${tag}`, { layers })
      return {
        run: async () => {
          const path = `/images?action=import-docker-image&repo=${repository}&tag=${tag}`
          const answer = await call(server, 'POST', path)
          const error = messagesIn(answer.text).find(({ type }) => type === 'error')
          return error ? failure(answer, error.error) : answer
        },
        repeated: [],
        isDone: () => has(server, 'name=docker-layer', ...layers),
      }
    },
  }
}

/** An image with its origin from another server. */
async function startImport(): Promise<Operation> {
  const content = bytes(SMALL)
  const manifests: Record<string, unknown>[] = []
  const { url } = await startSource(
    imgapi(manifests, (request, response) => sendContent(content, request, response)),
  )
  return {
    name: 'job',
    prepare: async (server, name) => {
      const origin = remoteManifest(content, { name: `${name}-origin`, owner: alice })
      const image = remoteManifest(content, { name, owner: alice, origin: origin.uuid })
      manifests.push(origin, image)
      return {
        uuid: image.uuid,
        run: async () => {
          const answer = await askImport(server, image.uuid, url)
          return answer.status === 200 ? outcome(server, answer, answer.body.job_uuid) : answer
        },
        repeated: ['ImageUuidAlreadyExists'],
        isDone: async () => (await imageOf(server, image.uuid))?.state === 'active',
      }
    },
  }
}
