import { setTimeout as sleep } from 'node:timers/promises'
import { readConfig } from '../config/config.ts'
import type { Action, MirrorStatus } from '../imports/mirror/status.ts'
import { layoutOf } from '../storage/local/layout.ts'
import { isLocked } from '../storage/local/lock.ts'
import { EXIT, OperatorError } from '../util/operator-error.ts'
import { findTarget, GLOBAL_ARGS, type GlobalValues, type Terminal, withTerminal } from './client-command.ts'
import { command } from './command.ts'
import { bytes } from './format.ts'
import { inDatadir, type MirrorRunner, onServer } from './mirror-runner.ts'
import type { Transfer } from './progress.ts'
import { table } from './table.ts'
import { terminalWidth } from './terminal.ts'

export const mirror = command({
  meta: { name: 'mirror', description: 'Run the mirrors of the config now, once' },
  args: {
    'dry-run': { type: 'boolean', alias: 'n', description: 'show what would be done, and change nothing' },
    source: {
      type: 'string',
      valueHint: 'URL',
      description: 'run only this mirror (default: all mirrors of the config)',
    },
    ...GLOBAL_ARGS,
  },
  examples: [
    'imgapi mirror -c config.json --dry-run',
    'imgapi mirror -c config.json',
    'imgapi mirror -u http://admin@images.example.com:8080 --json',
  ],
  run: values =>
    withTerminal(values, async context => {
      const runner = await findRunner(values, context)
      try {
        if (values['dry-run']) await showPlan(runner, values.json, context)
        else await runToTheEnd(runner, values.json, context)
      } finally {
        await runner.close()
      }
    }),
})

/** Uses the server that is named, or the one that locks the data directory of the config; without one, this process. */
async function findRunner(values: GlobalValues & { source: string | undefined }, { connect }: Terminal) {
  const { url, config: path, source } = values
  if (url === undefined && !process.env.IMGAPI_URL) {
    const config = readConfig(path)
    if (config.mirrors.length === 0) throw new OperatorError(`${path}: names no mirrors`)
    if (!(await isLocked(layoutOf(config.datadir).lock))) return inDatadir(config, source)
  }
  return onServer(connect(await findTarget(values)), source)
}

async function showPlan(runner: MirrorRunner, json: boolean, { print, say }: Terminal) {
  const plans = await runner.plan()
  if (json) return print(plans)
  for (const { source, actions } of plans) {
    if (actions.length > 0) say(describe(actions))
    const size = actions.reduce((total, one) => total + (one.size ?? 0), 0)
    const planned = actions.filter(({ action }) => action !== 'skip').length
    say(`${source}: ${planned} to do, ${bytes(size)} to fetch`)
  }
}

async function runToTheEnd(runner: MirrorRunner, json: boolean, context: Terminal) {
  const { signal, print, say } = context
  const mirrors = await follow(runner, context).catch(error => {
    if (!signal.aborted) throw error
    throw new OperatorError(`interrupted; ${runner.whenInterrupted}`, EXIT.interrupted)
  })
  if (json) print(mirrors)
  else for (const one of mirrors) say(summary(one))
  const failures = mirrors.flatMap(({ source, last_run: run }) =>
    run && run.state !== 'succeeded'
      ? [`mirror of ${source} ${run.state}: ${run.error ?? 'run it again'}`]
      : [],
  )
  if (failures.length > 0) throw new OperatorError(failures.join('\n'))
}

/** Milliseconds between two polls. */
const INTERVAL = 200

/** Starts a run and shows a bar for each image being fetched. Resolves to the mirrors when all are idle. */
async function follow(runner: MirrorRunner, { progress, signal }: Terminal): Promise<MirrorStatus[]> {
  const transfers = new Map<string, Transfer>()
  await runner.start()
  for (;;) {
    const mirrors = await runner.status()
    const arriving = mirrors.flatMap(one => one.progress?.images ?? [])
    for (const { uuid, name, bytes_done, bytes_expected } of arriving) {
      const transfer = transfers.get(uuid) ?? progress.start(name, 'importing', bytes_expected, bytes_done)
      transfers.set(uuid, transfer)
      transfer.update(bytes_done)
    }
    const done = new Set(
      mirrors
        .flatMap(({ actions = [] }) => actions.filter(one => one.result === 'done'))
        .map(one => one.uuid),
    )
    for (const [uuid, transfer] of transfers) {
      if (arriving.some(one => one.uuid === uuid)) continue
      if (done.has(uuid)) transfer.finish('imported')
      else transfer.fail()
      transfers.delete(uuid)
    }
    if (mirrors.every(({ state }) => state === 'idle')) return mirrors
    await sleep(INTERVAL, undefined, { signal })
  }
}

function summary({ source, actions = [], last_run: run }: MirrorStatus): string {
  const rows = actions.length > 0 ? [describe(actions)] : []
  const counts = run
    ? `${run.imported} imported, ${run.updated} updated, ${run.disabled} disabled, ${run.deleted} deleted, ${run.failed} failed; ${bytes(run.bytes)}`
    : 'it did not run'
  return [...rows, `${source}: ${counts}`].join('\n')
}

function describe(actions: readonly Action[]): string {
  const rows = actions.map(({ action, uuid, name, version, result, error, reason, fields }) => [
    action,
    uuid,
    `${name} ${version}`,
    result ?? 'planned',
    error ?? reason ?? fields?.join(', ') ?? '',
  ])
  return table(['ACTION', 'UUID', 'IMAGE', 'RESULT', 'WHY'], rows, { width: terminalWidth() })
}
