import { existsSync } from 'node:fs'
import { readConfig } from '../config/config.ts'
import { findGarbage, type Garbage, removeGarbage } from '../storage/local/garbage.ts'
import { layoutOf } from '../storage/local/layout.ts'
import { emptyFolder } from '../storage/local/load.ts'
import { lockDatadir } from '../storage/local/lock.ts'
import { OperatorError, UsageError } from '../util/operator-error.ts'
import { command, configArg } from './command.ts'
import { bytes } from './format.ts'
import { table } from './table.ts'
import { terminalWidth } from './terminal.ts'

const DAY = 24 * 3600 * 1000

export const gc = command({
  meta: { name: 'gc', description: 'List unneeded files and images of a data directory, or delete them' },
  args: {
    config: configArg,
    days: {
      type: 'string',
      valueHint: 'N',
      description: 'days after which an image that was never activated is not needed (default: 30)',
    },
    delete: { type: 'boolean', description: 'delete them; the server must be stopped' },
    json: { type: 'boolean', description: 'print the findings as JSON' },
  },
  examples: [
    'imgapi gc -c config.json',
    'imgapi gc -c config.json --days 7 --json',
    'imgapi gc -c config.json --delete',
  ],
  async run({ config: path, days: given = '30', delete: shouldDelete, json }) {
    const days = Number(given)
    if (!/^\d+$/.test(given) || !Number.isSafeInteger(days)) {
      throw new UsageError('--days must be a whole number')
    }
    const { datadir } = readConfig(path)
    if (!existsSync(datadir)) throw new OperatorError(`${datadir}: no such directory`)
    const layout = layoutOf(datadir)
    const deadline = new Date(Date.now() - days * DAY)
    if (!shouldDelete) return print(findGarbage(layout, deadline), json, false)
    const lock = await lockDatadir(layout.lock)
    try {
      // The lock is ours: no upload is running, so all temporary files are leftovers.
      emptyFolder(layout.tmp)
      const garbage = findGarbage(layout, deadline)
      await removeGarbage(layout, garbage)
      print(garbage, json, true)
    } finally {
      lock.release()
    }
  },
})

function print(garbage: readonly Garbage[], json: boolean, isDeleted: boolean) {
  const total = garbage.reduce((sum, one) => sum + one.bytes, 0)
  if (json) {
    console.log(JSON.stringify({ deleted: isDeleted, bytes: total, garbage }, null, 2))
    return
  }
  if (garbage.length > 0) {
    const rows = garbage.map(one => [one.path, one.kind, bytes(one.bytes), one.message])
    console.log(table(['PATH', 'KIND', 'SIZE', 'WHY'], rows, { width: terminalWidth() }))
  }
  const hint = isDeleted || garbage.length === 0 ? '' : '; --delete deletes them'
  console.log(`${isDeleted ? 'deleted' : 'found'} ${garbage.length} thing(s), ${bytes(total)}${hint}`)
}
