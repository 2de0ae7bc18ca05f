import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

/**
 * Loaded into a server before its own code: ends it with SIGKILL where a test wants. The file KILL_POINT, when it
 * is there, says how many more changes of names in image folders may happen. Between two of them nothing changes
 * that a restart would see.
 */

const { rename } = fs
fs.rename = async (from, to) => {
  const file = process.env.KILL_POINT
  if (!/\/\.(jobs|mirrors|cache)\//.test(to) && existsSync(file)) {
    const left = Number(readFileSync(file, 'utf8'))
    if (left === 0) process.kill(process.pid, 'SIGKILL')
    writeFileSync(file, String(left - 1))
  }
  return rename(from, to)
}
syncBuiltinESMExports()
