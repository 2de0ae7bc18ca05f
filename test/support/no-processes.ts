import child_process from 'node:child_process'
import { syncBuiltinESMExports } from 'node:module'

/** Setup of the unit tests. They start no process, so they need no build and take seconds; one that tries fails. */

const refuse = (name: string) => () => {
  throw new Error(`a unit test starts no process, but calls ${name}: see test/vitest.config.ts`)
}
const names = ['spawn', 'spawnSync', 'exec', 'execSync', 'execFile', 'execFileSync', 'fork']
Object.assign(child_process, Object.fromEntries(names.map(name => [name, refuse(name)])))
// What was imported by name sees it too.
syncBuiltinESMExports()
