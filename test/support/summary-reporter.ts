import type { Reporter, TestModule } from 'vitest/node'

/** Ends the run with what was left out and why, and one line that any CI can read. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]) {
    const count = { passed: 0, failed: 0, skipped: 0 }
    const leftOut = new Map<string, number>()
    const cases = new Map<string, number>()
    for (const module of modules) {
      // A file that cannot even be loaded has no tests to fail.
      if (!module.ok() && [...module.children.allTests('failed')].length === 0) count.failed++
      for (const test of module.children.allTests()) {
        const { operation } = test.meta() as { operation?: string }
        if (operation) cases.set(operation, (cases.get(operation) ?? 0) + 1)
        const result = test.result()
        if (result.state === 'passed' || result.state === 'failed') count[result.state]++
        else count.skipped++
        if (result.state === 'skipped' && result.note) {
          leftOut.set(result.note, (leftOut.get(result.note) ?? 0) + 1)
        }
      }
    }
    if (cases.size > 0) console.log(`\nconformance cases by operation:\n${table(cases)}`)
    for (const [reason, tests] of leftOut) console.log(`\nleft out, ${tests} test(s): ${reason}`)
    console.log(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`)
  }
}

const table = (cases: ReadonlyMap<string, number>) =>
  [...cases]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([operation, count]) => `${String(count).padStart(6)}  ${operation}`)
    .join('\n')
