import { parseArgs } from 'node:util'
import { Bench, HOW_TO_GET } from './bench-context.mjs'
import { describe, judge, machine, table } from './report.mjs'
import { ROWS } from './rows.mjs'

const USAGE = `npm run bench -- [--only ROW,...] [--json] [--list] [--tiny]

Measures the built server beside nginx and the raw limits of this machine (Linux).
  --only ROW,...  only these rows
  --json          the results as JSON on stdout
  --list          the names of the rows, and what they need
  --profile DIR   write a CPU profile of each server there (*.cpuprofile, for Chrome's developer tools)
  --tiny          a small version of each, to see that it works; judges nothing`

/** Throws for an option or a row that there is not. */
function readArguments() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      json: { type: 'boolean' },
      list: { type: 'boolean' },
      profile: { type: 'string' },
      tiny: { type: 'boolean', default: false },
      help: { type: 'boolean' },
    },
  })
  const wanted = values.only?.split(',') ?? ROWS.map(({ name }) => name)
  const unknown = wanted.filter(name => !ROWS.some(row => row.name === name))
  if (unknown.length > 0) throw new Error(`no such row: ${unknown.join(', ')}`)
  return { ...values, rows: ROWS.filter(({ name }) => wanted.includes(name)) }
}

async function measure(bench, rows) {
  const results = []
  const leftOut = []
  for (const row of rows) {
    const missing = bench.missing(row)
    if (missing.length > 0) {
      leftOut.push({ row: row.name, missing })
      continue
    }
    const begun = performance.now()
    const found = await row.run(bench)
    await bench.stopAll()
    results.push(...found.map(result => ({ row: row.name, ...judge(result, bench) })))
    console.error(`${row.name}: ${((performance.now() - begun) / 1000).toFixed(0)} s`)
  }
  return { results, leftOut }
}

const explain = ({ row, missing }) =>
  `${row}: left out, needs ${missing.map(name => `${name} (${HOW_TO_GET[name]})`).join(' and ')}`

async function main() {
  const options = readArguments()
  if (options.help) return console.log(USAGE)
  if (options.list) {
    for (const { name, needs } of ROWS)
      console.log(`${name}${needs.length ? `  needs ${needs.join(', ')}` : ''}`)
    return
  }
  const bench = new Bench(options)
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
  try {
    const { results, leftOut } = await measure(bench, options.rows)
    if (options.json) console.log(JSON.stringify({ machine: machine(), results, leftOut }, null, 2))
    else console.log([table(results), describe(machine()), ...leftOut.map(explain)].join('\n'))
  } finally {
    await bench.close()
  }
}

await main().catch(error => {
  console.error(error.message)
  process.exitCode = 1
})
