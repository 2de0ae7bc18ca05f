import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { run } from './run.ts'
import { temporaryFolder } from './server.ts'
import { until } from './until.ts'

/** A real munged with a key and a socket of its own, run by the user who runs the tests. */

export interface Munged {
  socket: string
  /** A credential of the user who runs the tests. */
  credential(options?: { payload?: string; ttl?: number }): Promise<string>
}

export async function startMunged(): Promise<Munged> {
  const folder = temporaryFolder()
  const file = (name: string) => join(folder, name)
  writeFileSync(file('key'), randomBytes(128), { mode: 0o600 })
  const options = ['key', 'log', 'pid', 'seed'].map(name => `--${name}-file=${file(name)}`)
  const socket = file('socket')
  const munged = spawn('munged', ['--foreground', '--force', `--socket=${socket}`, ...options])
  endWithTest(munged)
  await until('munged listens', () => existsSync(socket))
  return {
    socket,
    credential: async ({ payload = '', ttl } = {}) => {
      const lifetime = ttl === undefined ? [] : ['--ttl', String(ttl)]
      const made = await run('munge', ['-S', socket, ...lifetime], { input: payload })
      expect(made.code, made.stderr).toBe(0)
      return made.stdout.trim()
    },
  }
}

/** Ends a daemon of a test before the test's folders go. */
export function endWithTest(child: ChildProcess) {
  const closed = new Promise(resolve => child.on('close', resolve))
  onTestFinished(async () => {
    child.kill()
    await closed
  })
}
