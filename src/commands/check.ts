import { existsSync } from 'node:fs'
import { readConfig } from '../config/config.ts'
import { type Inspection, inspectDatadir, moveAside } from '../storage/local/inspect.ts'
import { layoutOf } from '../storage/local/layout.ts'
import { lockDatadir } from '../storage/local/lock.ts'
import { OperatorError } from '../util/operator-error.ts'
import { command, configArg } from './command.ts'
import { table } from './table.ts'

export const check = command({
  meta: { name: 'check', description: 'Verify every manifest and every file of a data directory' },
  args: {
    config: configArg,
    json: { type: 'boolean', description: 'print the findings as JSON' },
    repair: {
      type: 'boolean',
      description: 'move files that no manifest names aside; the server must be stopped',
    },
  },
  examples: [
    'imgapi check -c config.json',
    'imgapi check -c config.json --json',
    'imgapi check -c config.json --repair',
  ],
  async run({ config: path, json, repair }) {
    const { datadir, mode, channels } = readConfig(path)
    if (!existsSync(datadir)) throw new OperatorError(`${datadir}: no such directory`)
    const rules = { mode, channels: channels.length > 0 }
    const lock = repair ? await lockDatadir(layoutOf(datadir).lock) : undefined
    try {
      const inspection = await inspectDatadir(datadir, rules)
      const movedTo = repair ? await repairDatadir(datadir, inspection) : undefined
      print(inspection, json, movedTo)
      const remaining = inspection.problems.filter(problem => !(repair && problem.stray))
      if (remaining.length > 0) process.exitCode = 1
    } finally {
      lock?.release()
    }
  },
})

async function repairDatadir(datadir: string, { problems }: Inspection): Promise<string | undefined> {
  const strays = problems.flatMap(({ stray }) => (stray ? [stray] : []))
  return strays.length > 0 ? moveAside(datadir, strays, new Date()) : undefined
}

function print({ images, bytes, problems }: Inspection, json: boolean, movedTo: string | undefined) {
  if (json) {
    const shown = problems.map(({ subject, kind, message, stray }) => ({
      subject,
      kind,
      message,
      ...(movedTo && { repaired: stray !== undefined }),
    }))
    console.log(JSON.stringify({ images, bytes, problems: shown, ...(movedTo && { movedTo }) }, null, 2))
    return
  }
  if (problems.length > 0) {
    console.log(
      table(
        ['SUBJECT', 'KIND', 'PROBLEM'],
        problems.map(({ subject, kind, message }) => [subject, kind, message]),
      ),
    )
  }
  if (movedTo) console.log(`moved unused files to ${movedTo}`)
  const verdict = problems.length === 0 ? 'no problem found' : `${problems.length} problem(s) found`
  console.log(`${images} images, ${bytes} bytes of files read: ${verdict}`)
}
