import { availableParallelism } from 'node:os'
import { familyCpuSeconds, machineCpuSeconds } from './processes.mjs'

/**
 * Comparisons that hold on a machine which is not ours alone: the contestants take turns, who is first changes
 * from round to round, rounds that others disturbed are repeated, and what counts is the median.
 */

/** The part of the machine that others may use before a round counts as disturbed. */
const NOISE = 0.08
/** Seconds to wait for quiet before one run. */
const PATIENCE = 2
/** Seconds that waiting and repeating may cost in all. */
let patienceLeft = 60

/** The noise of every run, for the report. */
export const noises = []

export const sleep = seconds => new Promise(resolve => setTimeout(resolve, seconds * 1000))

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Runs something and tells how long it took and which part of the machine went to others meanwhile. */
export async function timed(work) {
  const before = { machine: machineCpuSeconds(), own: familyCpuSeconds(process.pid) }
  const start = performance.now()
  const value = await work()
  const seconds = (performance.now() - start) / 1000
  const machine = machineCpuSeconds() - before.machine
  const own = familyCpuSeconds(process.pid) - before.own
  return { value, seconds, noise: Math.max(0, machine - own) / seconds / availableParallelism() }
}

async function waitForQuiet() {
  for (let waited = 0; waited < PATIENCE && patienceLeft > 0; waited += 0.2) {
    const { noise, seconds } = await timed(() => sleep(0.2))
    if (noise < NOISE) return
    patienceLeft -= seconds
  }
}

/**
 * Runs the contestants in turn. Each is a function that resolves to an object of figures. Resolves to the
 * medians of these figures by contestant. `warmups`: rounds that do not count.
 */
export async function compare(contestants, { repeats, warmups = 0 }) {
  const names = Object.keys(contestants)
  for (let round = 0; round < warmups; round++) {
    for (const name of names) await contestants[name]()
  }
  const rounds = []
  const isQuietEnough = () =>
    repeats === 1 || patienceLeft <= 0 || rounds.filter(({ noise }) => noise < NOISE).length >= repeats
  while (rounds.length < repeats || (rounds.length < 2 * repeats && !isQuietEnough())) {
    const order = rounds.length % 2 === 0 ? names : [...names].reverse()
    const figures = {}
    let noise = 0
    for (const name of order) {
      if (repeats > 1) await waitForQuiet()
      const run = await timed(contestants[name])
      figures[name] = run.value
      noise = Math.max(noise, run.noise)
      if (rounds.length >= repeats) patienceLeft -= run.seconds
    }
    rounds.push({ figures, noise })
  }
  const kept = rounds.sort((a, b) => a.noise - b.noise).slice(0, repeats)
  noises.push(...kept.map(round => round.noise))
  return Object.fromEntries(names.map(name => [name, medians(kept.map(round => round.figures[name]))]))
}

const medians = figures =>
  Object.fromEntries(Object.keys(figures[0]).map(key => [key, median(figures.map(figure => figure[key]))]))
