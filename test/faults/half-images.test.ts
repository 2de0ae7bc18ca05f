import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bytes, call, manifest, publish, sha1, uuid } from '../support/api.ts'
import { namesIn } from '../support/folders.ts'
import { askImport, finished } from '../support/imports.ts'
import { KillPoint } from '../support/kill-point.ts'
import { layerOf } from '../support/layers.ts'
import { ScriptedRegistry } from '../support/scripted-registry.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { sendContent, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

/**
 * Whatever the server does by itself, and wherever it is killed in it: an image is complete, or it is gone after
 * the next start. No client comes back for it.
 */

const CONFIG = {
  allowPrivateSources: true,
  imports: { retries: 5, firstDelay: 20, longestDelay: 100 },
  gateways: { mistify: { prefix: '/mistify' } },
}

/** Kills a server before each change of names that the work makes, and looks at the next one. */
async function killedAnywhere(
  work: (server: TestServer) => Promise<unknown>,
  { config = {}, prepare = async () => {} }: Partial<Options> = {},
) {
  const point = new KillPoint()
  const start = (folder?: string) =>
    startServer({ config: { ...CONFIG, ...config }, env: point.env, ...(folder && { folder }) })
  const first = await start()
  await prepare(first)
  await point.killAtEach(first, start, work, expectCompleteImages)
}

interface Options {
  config: object
  /** What clients do before. */
  prepare(server: TestServer): Promise<void>
}

async function expectCompleteImages(server: TestServer, point: number) {
  const when = `killed before change ${point}`
  await until('the server has nothing more to do', () => isIdle(server))
  const { body } = await call(server, 'GET', '/images?state=all')
  const folders = namesIn(server.datadir).filter(name => /^[0-9a-f]{8}-/.test(name))
  expect(folders, when).toEqual(body.map((image: { uuid: string }) => image.uuid).sort())
  for (const { uuid: id, state, files } of body) {
    expect(state, when).toMatch(/^(active|disabled)$/)
    const response = await fetch(`${server.url}/images/${id}/file`)
    expect(sha1(new Uint8Array(await response.arrayBuffer())), when).toBe(files[0].sha1)
    expect(namesIn(join(server.datadir, id)), when).toHaveLength(2)
  }
  // The md5 of a file may be on its way to the cache.
  await until(`${when}: .tmp to be empty`, () => namesIn(join(server.datadir, '.tmp')).length === 0)
}

async function isIdle(server: TestServer) {
  const jobs = (await call(server, 'GET', '/jobs')).body as { execution: string }[]
  const mirrors = (await call(server, 'GET', '/mirrors')).body as { state: string; next_run?: string }[]
  return (
    jobs.every(({ execution }) => execution === 'succeeded') &&
    mirrors.every(({ state, next_run }) => state === 'idle' && next_run !== undefined) &&
    namesIn(join(server.datadir, 'incoming')).length === 0
  )
}

const isOk = ({ status, text }: { status: number; text: string }) =>
  expect({ status, text }).toMatchObject({ status: expect.toSatisfy((code: number) => code < 300) })

const uploadFor = (server: TestServer) =>
  call(server, 'PUT', '/mistify/images', { body: bytes(5000), headers: { 'x-image-type': 'kvm' } })

test('an upload to the gateway of mistify', async () => {
  await killedAnywhere(async server => isOk(await uploadFor(server)))
})

test('a fetch of the gateway of mistify', async () => {
  const content = bytes(5000)
  const source = await startSource((request, response) => sendContent(content, request, response))
  let fetches = 0
  await killedAnywhere(async server => {
    const body = { source: `${source.url}/${fetches++}`, type: 'kvm' }
    isOk(await call(server, 'POST', '/mistify/images', { body }))
    await until('it is fetched', () => isIdle(server))
  })
})

test('an image of a docker registry with two layers', async () => {
  const registry = await new ScriptedRegistry().start()
  let tags = 0
  await killedAnywhere(async server => {
    const tag = `v${tags++}`
    const layers = ['base', 'app'].map(name => layerOf({ name, content: tag }))
    await registry.put(`app:${tag}`, { layers })
    const repo = registry.url.replace('http://', '')
    const answer = await call(
      server,
      'POST',
      `/images?action=import-docker-image&repo=${repo}/app&tag=${tag}`,
    )
    expect(answer.text).toContain('Downloaded newer image')
  })
})

test('an import of an image with an origin', async () => {
  const source = await startServer()
  await killedAnywhere(async server => {
    const origin = await publish(source)
    const image = await publish(source, bytes(3000), { origin: origin.uuid })
    const { body } = await askImport(server, image.uuid, source.url)
    expect((await finished(server, body.job_uuid)).execution).toBe('succeeded')
  })
})

test('a mirror', async () => {
  const source = await startServer()
  const mirrors = [{ source: source.url, interval: 100_000 }]
  await killedAnywhere(
    async server => {
      await until('it is idle', () => isIdle(server))
      await publish(source)
      await until('the images are here', async () => {
        // Again, because a run that was under way before the image was published continues without it.
        isOk(await call(server, 'POST', '/mirrors?action=run'))
        const [here, there] = await Promise.all([server, source].map(one => call(one, 'GET', '/images')))
        return here!.body.length === there!.body.length
      })
    },
    { config: { mirrors } },
  )
})

test('the drop folder', async () => {
  await killedAnywhere(async server => {
    const content = bytes(5000)
    const files = [{ sha1: sha1(content), size: content.length, compression: 'none' }]
    const incoming = join(server.datadir, 'incoming')
    mkdirSync(incoming, { recursive: true })
    writeFileSync(join(incoming, 'a.zfs'), content)
    writeFileSync(join(incoming, 'a.json'), JSON.stringify({ v: 2, uuid: uuid(), ...manifest(), files }))
    await until('the folder is empty', async () => {
      await call(server, 'GET', '/ping')
      return namesIn(incoming).length === 0
    })
  })
})

test('a clone of an image and its origin', async () => {
  const [admin, alice, bob] = [uuid(), uuid(), uuid()]
  let image = ''
  await killedAnywhere(
    async server => isOk(await call(server, 'POST', `/images/${image}/clone?account=${bob}`)),
    {
      config: { mode: 'dc', adminUuid: admin },
      prepare: async server => {
        const origin = await publish(server, bytes(3000), { owner: alice })
        image = (await publish(server, bytes(3000), { owner: alice, acl: [bob], origin: origin.uuid })).uuid
      },
    },
  )
})
