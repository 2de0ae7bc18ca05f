import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { convertLayers } from '../../src/layers/convert-layers.ts'
import {
  claiming,
  deepFolders,
  longWays,
  manyFiles,
  manyFolders,
  manyLinks,
  manyPaxHeaders,
  manyWindows,
  wideZstd,
  zeros,
} from '../support/bombs.ts'
import { layerOf } from '../support/layers.ts'
import { LONG_TEST_TIMEOUT, TEST_TIMEOUT } from '../support/patience.ts'
import { isLinux, peakMemory, watchChildren } from '../support/process.ts'
import { needsAll, type Test } from '../support/programs.ts'
import { ScriptedRegistry } from '../support/scripted-registry.ts'
import { PROGRAM, temporaryFolder } from '../support/server.ts'
import { postPull, pull, startShifter } from '../support/shifter.ts'
import { until } from '../support/until.ts'

/** Small images that would take much: what they cost is bounded, and the server goes on. */

const real = needsAll({ sqfstar: 'squashfs-tools', unsquashfs: 'squashfs-tools', zstd: 'zstd' })
const test: Test = (name, body) => isLinux && real(name, body, LONG_TEST_TIMEOUT)

/** MiB, of the server and of any process that it starts. */
const MOST_SERVER = 250
const MOST_CHILD = 450
/** Bytes; a bomb is small. */
const LARGEST_BOMB = 10_000_000

const once = (make: () => Buffer) => {
  let made: Buffer | undefined
  return () => (made ??= make())
}
const NAMES = () => manyLinks(40_000, `${'n'.repeat(200)}/`.repeat(17), 'x')
const TARGETS = once(() => manyLinks(20_000, 'l', 't/'.repeat(2000)))
const PAX = once(() => manyPaxHeaders(1100))

const BOMBS: [what: string, make: () => Buffer, outcome: RegExp | undefined][] = [
  ['long names', NAMES, /more than 134217728 bytes of names/],
  ['long targets of links', TARGETS, /more than 67108864 bytes of targets of symbolic links/],
  ['long pax headers', PAX, /more than 1073741824 bytes of extended headers/],
  ['a million folders', () => manyFolders(22_000, 46), /more than 1000000 files/],
  ['deep folders', deepFolders, /longer than systems allow/],
  ['long ways through links', () => longWays(1500), /more than 50000000 steps/],
  ['a huge file', () => claiming(8e12), /more than 274877906944 bytes in files/],
  ['half a GiB of zeros', () => zeros(512), undefined],
  ['a wide window of zstd', wideZstd, /compressed with zstd|too much memory/],
  ['many windows of zstd', () => manyWindows(20), undefined],
]

function convert(bomb: Buffer, memory?: number) {
  const folder = temporaryFolder()
  const [layer, path] = [join(folder, 'layer'), join(folder, 'image.squashfs')]
  writeFileSync(layer, bomb)
  const order = { layers: [layer], path, options: undefined }
  const program = [process.execPath, PROGRAM]
  return { path, converted: convertLayers(order, new AbortController().signal, program, memory) }
}

for (const [what, make, outcome] of BOMBS) {
  test(`${what} cost less than ${MOST_CHILD} MiB`, async () => {
    const bomb = make()
    expect(bomb.length).toBeLessThan(LARGEST_BOMB)
    const children = watchChildren(process.pid)
    const { path, converted } = convert(bomb)
    const error = await converted.then(
      () => undefined,
      (failure: Error) => failure.message,
    )
    const most = children.stop()
    expect(most).toBeGreaterThan(10)
    expect(most).toBeLessThan(MOST_CHILD)
    if (outcome) expect(error).toMatch(outcome)
    else expect(error).toBeUndefined()
    expect(existsSync(path)).toBe(outcome === undefined)
  })
}

test('layers that take more memory than the converter may have are refused with that reason', async () => {
  const { path, converted } = convert(manyFiles(200_000), 20)
  await expect(converted).rejects.toThrow('the layers of the image take more than 20 MiB of memory')
  expect(existsSync(path)).toBe(false)
})

test('a server with several bombs at once stays small and makes other images meanwhile', async () => {
  const registry = await new ScriptedRegistry().start()
  const bombs = { targets: TARGETS(), pax: PAX() }
  const tags = Object.keys(bombs).map(name => `evil/${name}:1`)
  for (const [name, layer] of Object.entries(bombs)) await registry.put(`evil/${name}:1`, { layers: [layer] })
  await registry.put('good/image:1', { layers: [layerOf({ name: 'file', content: 'x' })] })
  const gateway = await startShifter({ imagemanager: registry.locations, settings: { retryAfter: 300 } })
  const children = watchChildren(gateway.server.pid)
  for (const tag of tags) await postPull(gateway, tag)
  expect(await pull(gateway, 'good/image:1')).toMatchObject({ status: 'READY' })
  for (const tag of tags) {
    const status = async () => (await postPull(gateway, tag)).body.status
    await until(`the end of ${tag}`, async () => (await status()) === 'FAILURE', TEST_TIMEOUT)
  }
  expect(peakMemory(gateway.server.pid)).toBeLessThan(MOST_SERVER)
  expect(children.stop()).toBeLessThan(MOST_CHILD)
})
