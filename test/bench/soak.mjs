import { randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Bench } from './bench-context.mjs'
import { writeImages } from './datadir.mjs'
import { median, sleep } from './measure.mjs'
import { residentBytes } from './processes.mjs'
import { AUTHORIZATION, fetchBytes } from './server.mjs'
import { SoakClient, work } from './soak-clients.mjs'

const USAGE = `npm run soak -- [--minutes N] [--clients N]

Works on the built server as clients do, in every way at the same time, for half an hour by default (Linux). Exits
with 1 unless every answer was right, and memory and open files are the same in the end as after the first third.`

/** Bytes by which the memory of two halves of a run may differ by chance. */
const TOLERANCE = 16 * 2 ** 20
/** Files that may be open more by chance: a thread may have started late. */
const MORE_FILES = 5
const SAMPLES = 300
const IMAGES = 300

const mib = bytes => `${Math.round(bytes / 2 ** 20)} MiB`

const openFiles = pid => readdirSync(`/proc/${pid}/fd`).length

/** A server with images to import. */
async function startSource(bench) {
  const server = await bench.server(bench.newFolder('source'))
  const uuids = []
  const headers = { Authorization: AUTHORIZATION }
  for (let index = 0; index < 8; index++) {
    const body = JSON.stringify({
      name: `source-${index}`,
      version: '1',
      type: 'other',
      os: 'other',
      public: true,
    })
    const { uuid } = JSON.parse(await fetchBytes(`${server.url}/images`, { method: 'POST', headers, body }))
    const url = `${server.url}/images/${uuid}`
    const file = randomBytes(2 ** (14 + index))
    await fetchBytes(`${url}/file?compression=none`, { method: 'PUT', headers, body: file })
    await fetchBytes(`${url}?action=activate`, { method: 'POST', headers })
    uuids.push(uuid)
  }
  return { ...server, uuids }
}

/** Change over the time that was sampled: the median of the slopes between any two samples, which no peak moves. */
function growth(values) {
  const slopes = []
  for (let first = 0; first < values.length; first++) {
    for (let second = first + 1; second < values.length; second++) {
      slopes.push((values[second] - values[first]) / (second - first))
    }
  }
  return median(slopes) * (values.length - 1)
}

/** Open files of an idle server, when what was kept for later has been closed. */
async function idleFiles(pid, seconds) {
  let least = Number.POSITIVE_INFINITY
  for (let second = 0; second < seconds; second++) {
    await sleep(1)
    least = Math.min(least, openFiles(pid))
  }
  return least
}

async function soak(bench, { minutes, clients }) {
  const source = await startSource(bench)
  const datadir = bench.newFolder('soak')
  writeImages(datadir, IMAGES, { size: 100_000 })
  const settings = { mode: 'dc', allowPrivateSources: true }
  const server = await bench.server(datadir, settings)
  const { pid } = server
  let problem
  const run = async seconds => {
    const until = performance.now() + seconds * 1000
    const all = Array.from({ length: clients }, () => new SoakClient(server))
    const isOver = () => problem !== undefined || performance.now() > until
    const working = Promise.all(all.map(client => work(client, source, isOver))).catch(error => {
      problem = error
    })
    const samples = []
    for (let next = performance.now(); !isOver(); next += (seconds * 1000) / SAMPLES) {
      await sleep(Math.max(0, next - performance.now()) / 1000)
      samples.push(residentBytes(pid))
    }
    await working
    for (const client of all) client.close()
    if (problem) throw problem
    return { samples, counts: all.map(client => client.counts) }
  }
  await run(minutes * 20)
  const patience = Math.min(10, minutes * 20)
  const before = await idleFiles(pid, patience)
  const { samples, counts } = await run(minutes * 40)
  const after = await idleFiles(pid, patience)
  const total = {}
  for (const each of counts)
    for (const [kind, count] of Object.entries(each)) total[kind] = (total[kind] ?? 0) + count
  return { samples, before, after, total }
}

async function main() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '30' },
      clients: { type: 'string', default: '6' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) return console.log(USAGE)
  const [minutes, clients] = [Number(values.minutes), Number(values.clients)]
  if (!(minutes > 0 && clients > 0)) throw new Error(USAGE)
  const bench = new Bench({ tiny: false })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
  try {
    const { samples, before, after, total } = await soak(bench, { minutes, clients })
    const grown = growth(samples)
    const tenth = Math.ceil(samples.length / 10)
    const [first, last] = [median(samples.slice(0, tenth)), median(samples.slice(-tenth))]
    const isFlat = grown < TOLERANCE && last - first < 2 * TOLERANCE && after - before <= MORE_FILES
    console.log(
      `${minutes} minutes, ${clients} clients; after the first third: ${Object.entries(total)
        .map(([kind, count]) => `${count} ${kind}`)
        .join(', ')}`,
    )
    console.log(
      `memory: ${mib(first)} to ${mib(last)}, at most ${mib(Math.max(...samples))}, trend ${mib(grown)}; open files when idle: ${before}, then ${after}`,
    )
    console.log(isFlat ? 'flat' : 'NOT FLAT')
    if (!isFlat) process.exitCode = 1
  } finally {
    await bench.close()
  }
}

await main().catch(error => {
  console.error(error.message)
  process.exitCode = 1
})
