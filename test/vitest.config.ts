import { defineConfig } from 'vitest/config'
import { PATIENCE, TEST_TIMEOUT } from './support/patience.ts'

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    // Files keep to themselves by design (a server and a datadir each); isolating them costs ten times the time.
    isolate: false,
    testTimeout: TEST_TIMEOUT,
    hookTimeout: TEST_TIMEOUT,
    expect: { poll: { timeout: PATIENCE } },
    reporters: ['default', './test/support/summary-reporter.ts'],
  },
})
