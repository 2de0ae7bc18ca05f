import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { paced } from '../../src/sources/pace.ts'
import { drip } from '../support/drip.ts'
import { send } from '../support/http.ts'
import { layerOf } from '../support/layers.ts'
import { ScriptedRegistry } from '../support/scripted-registry.ts'
import { AUTH, startServer } from '../support/server.ts'

/** Other servers may be slow, but not as slow as they like. */

const imports = { retries: 2, firstDelay: 10, longestDelay: 20, minimumRate: 1000 }

test('an import from a registry that sends a byte now and then fails with that reason', async () => {
  const registry = await new ScriptedRegistry().start()
  await registry.put('team/demo:1', { layers: [layerOf({ name: 'file', content: randomBytes(50_000) })] })
  drip(registry, (_, body) => body.length > 20_000)
  const server = await startServer({ config: { allowPrivateSources: true, stallTimeout: 1, imports } })
  const repo = `${new URL(registry.url).host}/team/demo`
  const url = `${server.url}/images?action=import-docker-image&repo=${repo}&tag=1`
  const answer = await send(url, 'POST', { headers: AUTH })
  expect(answer.body.toString()).toMatch(/127\.0\.0\.1:\d+ sends less than 1000 bytes a second/)
})

async function* pieces(count: number, size: number, delay: number) {
  for (let i = 0; i < count; i++) {
    await pause(delay)
    yield Buffer.alloc(size)
  }
}

async function read(body: AsyncIterable<Buffer>, rate: number, delay = 0): Promise<number> {
  let size = 0
  for await (const piece of paced(body, { rate, window: 100 }, () => new Error('too slow'))) {
    size += piece.length
    await pause(delay)
  }
  return size
}

test('the rate is an average over the time that is spent on waiting', async () => {
  await expect(read(pieces(100, 1, 20), 1000)).rejects.toThrow('too slow')
  // Slow readers do not make a slow source.
  expect(await read(pieces(10, 1000, 0), 1_000, 60)).toBe(10_000)
  expect(await read(pieces(10, 100_000, 20), 1000)).toBe(1_000_000)
  expect(await read(pieces(10, 1, 20), 0)).toBe(10)
})
