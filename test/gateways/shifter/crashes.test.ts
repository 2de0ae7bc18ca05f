import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { namesIn } from '../../support/folders.ts'
import { layerOf } from '../../support/layers.ts'
import { isLinux } from '../../support/process.ts'
import { Gate } from '../../support/program-gate.ts'
import { needsAll, type Test } from '../../support/programs.ts'
import { startPulling } from '../../support/pulling.ts'
import { ScriptedRegistry } from '../../support/scripted-registry.ts'
import { temporaryFolder } from '../../support/server.ts'
import { lookup, postPull, pull, type ShifterServer, startShifter } from '../../support/shifter.ts'
import { until } from '../../support/until.ts'

/** Work that ends the server, or its own process, is not done for ever. */

const real = needsAll({ sqfstar: 'squashfs-tools', pgrep: 'procps' })
const test: Test = (name, body) => isLinux && real(name, body)

const TAG = 'team/demo:1'

/** A gateway that can be started again where it was, with a program that stands still in the middle of a pull. */
async function fragile() {
  const registry = await new ScriptedRegistry().start()
  for (const tag of [TAG, 'team/other:1']) await registry.put(tag, { files: { name: tag } })
  const [folder, imageDir] = [temporaryFolder(), join(temporaryFolder(), 'images')]
  const gate = new Gate('sqfstar')
  const start = () =>
    startShifter({
      imagemanager: registry.locations,
      settings: { retryAfter: 300 },
      folder,
      imageDir,
      env: gate.env,
    })
  return { gate, imageDir, start }
}

const isPulled = (gateway: ShifterServer) =>
  until('it is pulled', async () => (await lookup(gateway, TAG)).status === 200)

test('a pull that was running at three crashes fails with that reason', async () => {
  const { gate, start, imageDir } = await fragile()
  for (let crash = 1; crash <= 3; crash++) {
    gate.close()
    const gateway = await start()
    if (crash === 1) await postPull(gateway, TAG)
    await gate.someoneWaits()
    await gateway.server.kill()
  }
  const gateway = await start()
  const record = (await postPull(gateway, TAG)).body
  expect(record).toMatchObject({
    status: 'FAILURE',
    status_message: 'the server ended 3 times during this work: it is not restarted',
  })
  await until('nothing is left', () => namesIn(join(gateway.server.datadir, '.shifter/expand')).length === 0)
  expect(readdirSync(imageDir)).toEqual([])
  await gateway.server.stop()
  gate.open()
})

test('stops are no crashes, however many', async () => {
  const { gate, start } = await fragile()
  for (let stop = 1; stop <= 4; stop++) {
    gate.close()
    const gateway = await start()
    if (stop === 1) await postPull(gateway, TAG)
    await gate.someoneWaits()
    expect(await gateway.server.stop()).toBe(0)
  }
  gate.open()
  await isPulled(await start())
})

const converterOf = ({ server }: ShifterServer) =>
  execFileSync('pgrep', ['-P', String(server.pid), '-f', 'convert-layers'], { encoding: 'utf8' }).trim()

for (const signal of ['SIGKILL', 'SIGSEGV'] as const) {
  test(`the end of a converter by ${signal} fails its pull, and the server goes on`, async () => {
    const { gate, start } = await fragile()
    const gateway = await start()
    await postPull(gateway, TAG)
    await gate.someoneWaits()
    process.kill(Number(converterOf(gateway)), signal)
    gate.open()
    const { status, status_message } = await pull(gateway, TAG)
    expect({ status, status_message }).toEqual({
      status: 'FAILURE',
      status_message: `the converter of layers ended with ${signal}: no reason given`,
    })
    expect(await pull(gateway, 'team/other:1')).toMatchObject({ status: 'READY' })
  })
}

test('a server that is killed takes its converter with it', async () => {
  const { gate, start } = await fragile()
  const gateway = await start()
  await postPull(gateway, TAG)
  await gate.someoneWaits()
  const converter = converterOf(gateway)
  await gateway.server.kill()
  await until('it has ended', () => !existsSync(`/proc/${converter}`))
  gate.open()
})

test('what is left out is named, and the root has its mode', async () => {
  const { registry, gateway } = await startPulling()
  const device = (name: string, type: '3' | '6' = '3') => ({ name, type, mode: 0o666 })
  const gone = [device('dev/gone'), device('dev/replaced')]
  await registry.put(TAG, {
    layers: [
      layerOf(
        { name: './', type: '5', mode: 0o750 },
        device('dev/null'),
        device('run/p\u0001ipe', '6'),
        ...gone,
      ),
      layerOf({ name: 'dev/.wh.gone' }, { name: 'dev/replaced', content: 'x' }),
    ],
  })
  await registry.put('team/many:1', {
    layers: [layerOf(...Array.from({ length: 7 }, (_, i) => device(`dev/tty${i}`)))],
  })
  const { id, status_message } = await pull(gateway, TAG)
  expect(status_message).toBe(
    'Transferring image; left out: devices and fifos, 2 in all (dev/null, run/p?ipe)',
  )
  const listed = execFileSync('unsquashfs', ['-lln', join(gateway.imageDir, `${id}.squashfs`)]).toString()
  expect(listed.split('\n').find(line => line.endsWith('squashfs-root'))).toMatch(/^drwxr-x--- 0\/0 /)
  expect((await pull(gateway, 'team/many:1')).status_message).toBe(
    'Transferring image; left out: devices and fifos, 7 in all (dev/tty0, dev/tty1, dev/tty2, dev/tty3, dev/tty4, ...)',
  )
})
