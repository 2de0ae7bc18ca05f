import { availableParallelism, cpus, totalmem } from 'node:os'
import { noises } from './measure.mjs'

/** The results as a table for people and as JSON for programs. */

/** With the ratio, and whether what is wanted was reached; tiny runs judge nothing. */
export function judge({ wanted, ...result }, { tiny }) {
  const ratio = result.yardstick === undefined ? undefined : result.ours / result.yardstick
  const value = ratio ?? result.ours
  const reached = wanted.least === undefined ? value <= wanted.most : value >= wanted.least
  return { ...result, ratio, wanted, ...(!tiny && { reached }) }
}

const significant = value => Number(value.toPrecision(3)).toLocaleString('en', { maximumFractionDigits: 6 })

const FORMATS = {
  'B/s': value => `${significant(value / 1e6)} MB/s`,
  B: value => `${significant(value / 1e6)} MB`,
  '/s': value => `${significant(value)}/s`,
  s: value => (value < 1 ? `${significant(value * 1000)} ms` : `${significant(value)} s`),
}

const sides = ({ unit, ours, yardstick, against, ratio, wanted, reached }) => {
  const format = FORMATS[unit]
  const bound = wanted.least ?? wanted.most
  const limit = ratio === undefined ? format(bound) : `${bound} x`
  return [
    format(ours),
    yardstick === undefined ? '-' : `${format(yardstick)} (${against})`,
    ratio === undefined ? '-' : `${ratio.toFixed(2)} x`,
    `${wanted.least === undefined ? 'at most' : 'at least'} ${limit}`,
    reached === undefined ? '' : reached ? 'reached' : 'NOT REACHED',
  ]
}

/** A Markdown table. */
export function table(results) {
  const head = ['work', 'ours', 'yardstick', 'ratio', 'wanted', '']
  const rows = [head, ...results.map(result => [result.work, ...sides(result)])]
  const widths = head.map((_, column) => Math.max(...rows.map(row => row[column].length)))
  const line = row => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`
  const rule = `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`
  const notes = results.filter(({ note }) => note).map(({ work, note }) => `${work}: ${note}`)
  return [line(rows[0]), rule, ...rows.slice(1).map(line), ...notes].join('\n')
}

export const machine = () => ({
  cpu: cpus()[0]?.model.trim(),
  cores: availableParallelism(),
  memory: totalmem(),
  node: process.version,
  platform: `${process.platform} ${process.arch}`,
  /** The part of the machine that others used during the runs that count. */
  disturbed: noises.length === 0 ? 0 : noises.reduce((sum, noise) => sum + noise, 0) / noises.length,
})

export function describe({ cpu, cores, memory, node, platform, disturbed }) {
  const size = `${Math.round(memory / 2 ** 30)} GiB`
  const others = `${(disturbed * 100).toFixed(0)} % of the machine`
  return `${cores} x ${cpu}, ${size}, ${platform}, Node ${node}; others used ${others} meanwhile`
}
