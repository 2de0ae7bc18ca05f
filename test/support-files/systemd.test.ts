import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { needs } from '../support/programs.ts'
import { run } from '../support/run.ts'
import { temporaryFolder } from '../support/server.ts'

const UNIT = readFileSync(new URL('../../support-files/imgapid.service', import.meta.url), 'utf8')

const test = needs('systemd-analyze', 'systemd')

/** The unit, with a program that is there on every machine. */
function unitFile(): string {
  const path = join(temporaryFolder(), 'imgapid.service')
  writeFileSync(path, UNIT.replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`))
  return path
}

test('systemd finds nothing wrong with the unit', async () => {
  const outcome = await run('systemd-analyze', ['verify', '--man=no', unitFile()])
  expect(outcome).toEqual({ code: 0, stdout: '', stderr: '' })
})

test('systemd rates the sandbox of the unit as safe: 2 of 10 at most', async () => {
  const args = ['security', '--offline=true', '--threshold=20', '--no-pager', unitFile()]
  const { code, stdout } = await run('systemd-analyze', args)
  expect(stdout).toContain('Overall exposure level')
  expect(code).toBe(0)
})

test('a stop waits longer than transfers get to finish by default', async () => {
  const { shutdownTimeout } = parseConfig({ datadir: '/x' }, 'FILE')
  expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(UNIT)![1])).toBeGreaterThan(shutdownTimeout)
  expect(UNIT).toContain('ExecReload=/bin/kill -HUP $MAINPID')
})

test('memory may be made executable, without which Node does not run', async () => {
  expect(UNIT).not.toContain('MemoryDenyWriteExecute')
})
