import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

/** That every row of the benchmark still runs. How fast is no test's business. */

const BENCH = new URL('bench.mjs', import.meta.url).pathname
const SOAK = new URL('soak.mjs', import.meta.url).pathname

interface Result {
  row: string
  work: string
  unit: string
  ours: number
  yardstick?: number
  wanted: { least?: number; most?: number }
}

function bench(args: string[], env: Record<string, string> = {}, program = BENCH) {
  // A folder of its own, to see that nothing stays there.
  const folder = mkdtempSync(join(tmpdir(), 'imgapi-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    env: { ...process.env, TMPDIR: folder, ...env },
    encoding: 'utf8',
  })
  return { status, stdout, stderr, left: readdirSync(folder) }
}

const rows = execFileSync(process.execPath, [BENCH, '--list'], { encoding: 'utf8' })
  .trim()
  .split('\n')
  .map(line => line.split(' ')[0]!)

test.skipIf(process.platform !== 'linux').each(rows)('the row %s can be measured', row => {
  const { status, stdout, stderr, left } = bench(['--tiny', '--json', '--only', row])
  expect(status, stderr).toBe(0)
  const { results, leftOut } = JSON.parse(stdout) as { results: Result[]; leftOut: { row: string }[] }
  if (leftOut.length === 0) expect(results).not.toEqual([])
  else expect(leftOut).toMatchObject([{ row }])
  for (const result of results) {
    expect(result).toMatchObject({ row, work: expect.any(String), unit: expect.any(String) })
    expect(result.ours, result.work).toBeGreaterThan(0)
    expect(result.wanted.least ?? result.wanted.most, result.work).toBeGreaterThan(0)
    expect(result).not.toHaveProperty('reached')
  }
  expect(left).toEqual([])
})

test('a row whose yardstick is not installed is left out, and how to get it is said', () => {
  const { status, stdout, left } = bench(['--tiny', '--only', 'latency'], { PATH: '/nowhere' })
  expect(status).toBe(0)
  expect(stdout).toMatch(/latency: left out, needs .*wrk \(apt-get install wrk/)
  expect(left).toEqual([])
})

test('a row that there is not is an error that names it', () => {
  const { status, stderr } = bench(['--only', 'downloads-of-the-moon'])
  expect(status).toBe(1)
  expect(stderr).toContain('downloads-of-the-moon')
})

test.skipIf(process.platform !== 'linux')(
  'the soak runs and gets the right answers, in a few seconds too',
  () => {
    // Whether memory is flat shows in a long run alone.
    const { stdout, stderr, left } = bench(['--minutes', '0.05'], {}, SOAK)
    expect(stderr).toBe('')
    expect(stdout).toMatch(
      /memory: \d+ MiB to \d+ MiB, .*; open files when idle: \d+, then \d+\n(NOT )?(flat|FLAT)\n$/,
    )
    expect(left).toEqual([])
  },
)
