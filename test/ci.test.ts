import { accessSync, constants, readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import packageJson from '../package.json' with { type: 'json' }

/** That CI runs .ci/run, and that .ci/run installs what the tests need. The first run of a workflow is elsewhere. */

const ROOT = new URL('..', import.meta.url).pathname
const read = (path: string) => readFileSync(`${ROOT}${path}`, 'utf8')

interface Step {
  uses?: string
  run?: string
}

interface Job {
  'runs-on': string
  container: { image: string; options: string }
  env: Record<string, string>
  steps: Step[]
}

const workflow = parse(read('.github/workflows/ci.yml')) as { on: object; jobs: Record<string, Job> }
const jobs = Object.values(workflow.jobs)

test('CI runs .ci/run for each change, and may leave out no test', () => {
  expect(Object.keys(workflow.on)).toEqual(expect.arrayContaining(['push', 'pull_request']))
  expect(jobs).not.toEqual([])
  for (const { env, steps } of jobs) {
    // A boolean would not be the text that tests look for.
    expect(env.CI).toBe('true')
    expect(steps.map(({ uses, run }) => uses ?? run)).toEqual([
      expect.stringMatching(/^actions\/checkout@v\d+$/),
      '.ci/run',
    ])
  }
  accessSync(`${ROOT}.ci/run`, constants.X_OK)
})

test('CI runs in Debian 12, whose packages .ci/run names, as root, with the oldest Node that is supported', () => {
  const [, oldest] = /^>=(\d+)\./.exec(packageJson.engines.node)!
  for (const { container } of jobs) {
    // An image for which no `--user` is given runs as root.
    expect(container).toEqual({ image: `node:${oldest}-bookworm`, options: '--privileged' })
  }
})

test('.ci/run installs each package that a test names as what it needs', () => {
  const [, list] = /^programs=\(\n([^)]*)^\)/m.exec(read('.ci/run'))!
  const installed = list!
    .trim()
    .split('\n')
    .map(line => line.trim().split(':')[1])
  const files = readdirSync(`${ROOT}test`, { recursive: true, encoding: 'utf8' }).filter(
    path => path.endsWith('.ts') && !path.includes('node_modules'),
  )
  const needed = files.flatMap(path => {
    const text = read(`test/${path}`)
    const pairs = [...text.matchAll(/\bneeds\('[\w-]+', '([\w-]+)'\)/g)]
    const tables = [...text.matchAll(/\b(?:needsAll\(|PROGRAMS = )\{([^}]*)\}/g)]
    return [
      ...pairs.map(([, name]) => name!),
      ...tables.flatMap(([, table]) => [...table!.matchAll(/: '([\w-]+)'/g)].map(([, name]) => name!)),
    ].map(name => `${name}, for ${path}`)
  })
  expect(needed.length).toBeGreaterThan(20)
  expect(needed.filter(entry => !installed.includes(entry.split(',')[0]!))).toEqual([])
})
