import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { drip } from '../../support/drip.ts'
import { layerOf } from '../../support/layers.ts'
import { needsAll } from '../../support/programs.ts'
import { ScriptedRegistry } from '../../support/scripted-registry.ts'
import { postPull, pull, startShifter } from '../../support/shifter.ts'
import { until } from '../../support/until.ts'

/** A registry that sends a byte now and then delays nothing but its own images, and those not for ever. */

const test = needsAll({ sqfstar: 'squashfs-tools' })

const LAYER = layerOf({ name: 'noise', content: randomBytes(100_000) })

/** Two registries, the first of which drips. */
async function start(options: {
  paths: RegExp
  bytes?: number
  settings?: Record<string, unknown>
  config?: Record<string, unknown>
}) {
  const [slow, quick] = [await new ScriptedRegistry().start(), await new ScriptedRegistry().start()]
  for (const registry of [slow, quick]) await registry.put('team/large:1', { layers: [LAYER] })
  await quick.put('team/small:1')
  await slow.put('team/small:1', { files: { 'etc/motd': 'of the slow one\n' } })
  drip(slow, path => options.paths.test(path), options.bytes)
  const url = (registry: ScriptedRegistry) => ({ remotetype: 'dockerv2', url: registry.url })
  const gateway = await startShifter({
    imagemanager: {
      DefaultImageLocation: 'quick',
      Locations: { slow: url(slow), quick: url(quick) },
      WorkerThreads: 1,
    },
    settings: { retryAfter: 300, ...options.settings },
    ...(options.config && { config: options.config }),
  })
  return { gateway, slow, quick }
}

const LAYERS = /blobs/
const isReady = (status: string) => ({ status })

test('images of other registries do not wait for it, not even those with the same layers', async () => {
  const { gateway, slow } = await start({ paths: LAYERS })
  await postPull(gateway, 'slow/team/large:1')
  await until('it drips', () => slow.requests.some(({ path }) => LAYERS.test(path)))
  expect(await pull(gateway, 'team/small:1')).toMatchObject(isReady('READY'))
  expect(await pull(gateway, 'team/large:1')).toMatchObject(isReady('READY'))
  expect((await postPull(gateway, 'slow/team/large:1')).body.status).toBe('PULLING')
})

test('small images of the same registry do not wait for a large one', async () => {
  const { gateway, slow } = await start({ paths: /nothing/ })
  drip(slow, (path, body) => LAYERS.test(path) && body.length > 50_000)
  await postPull(gateway, 'slow/team/large:1')
  await until('it drips', () => slow.requests.filter(({ path }) => LAYERS.test(path)).length > 1)
  expect(await pull(gateway, 'slow/team/small:1')).toMatchObject(isReady('READY'))
})

const PLACES: [what: string, paths: RegExp][] = [
  ['layers', LAYERS],
  ['manifests', /manifests/],
]

for (const [what, paths] of PLACES) {
  test(`a pull fails whose registry sends ${what} more slowly than minimumRate`, async () => {
    const settings = { minimumRate: 1000 }
    const { gateway } = await start({ paths, settings, config: { stallTimeout: 1 } })
    const { status, status_message } = await pull(gateway, 'slow/team/large:1')
    expect(status).toBe('FAILURE')
    expect(status_message).toMatch(/^127\.0\.0\.1:\d+ sends less than 1000 bytes a second$/)
  })
}

test('what is quick enough is not', async () => {
  const settings = { minimumRate: 1000 }
  const { gateway } = await start({ paths: LAYERS, bytes: 4000, settings, config: { stallTimeout: 1 } })
  expect(await pull(gateway, 'slow/team/large:1')).toMatchObject(isReady('READY'))
})

test('a pull that takes longer than pullTimeout fails, and the next one begins', async () => {
  const settings = { minimumRate: 0, pullTimeout: 2 }
  const { gateway } = await start({ paths: LAYERS, settings })
  for (const tag of ['large', 'small']) {
    expect(await pull(gateway, `slow/team/${tag}:1`)).toMatchObject({
      status: 'FAILURE',
      status_message: 'the download took more than 2 seconds',
    })
  }
})
