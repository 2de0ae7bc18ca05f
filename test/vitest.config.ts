import { basename } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { PATIENCE, TEST_TIMEOUT } from './support/patience.ts'

/** Files that start no process, and so need no build: `npm run test:unit`. */
const UNIT = [
  'test/{architecture,ci,package-lock}.test.ts',
  'test/{,config/}config.test.ts',
  'test/{auth,images}/*.test.ts',
  'test/**/lxd/*.test.ts',
  'test/client/**/target.test.ts',
  'test/commands/format.test.ts',
  'test/http/{access-log,reading,renderings}.test.ts',
  'test/**/mirror/plan.test.ts',
  'test/**/registry/blob-cache.test.ts',
  'test/sources/**/{address-guard,resumable,retry,verified-fetch}.test.ts',
  'test/sources/imgapi/*.test.ts',
  'test/storage/local.test.ts',
  'test/util/*.test.ts',
]

/** Files that measure how much memory a busy server takes: nothing else runs meanwhile. */
const ALONE = ['test/acceptance/memory.test.ts']

/** Files that take longest, longest first. They begin first, so that none is left when all others are done. */
const LONGEST = `
  power-cut sweep pulls broken-pulls bombs pasted bench mirror crash half-images fetches publish bundle
  client interrupted-imports restart build drop-folder read-access logins hostile-folders crashes accel
`
  .trim()
  .split(/\s+/)
  .map(name => `${name}.test.ts`)

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]) {
    const place = ({ moduleId }: TestSpecification) => {
      const index = LONGEST.indexOf(basename(moduleId))
      return index === -1 ? LONGEST.length : index
    }
    const sorted = await super.sort(files)
    return sorted.sort((a, b) => place(a) - place(b))
  }
}

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    // Files keep to themselves by design (a server and a datadir each); isolating them costs ten times the time.
    isolate: false,
    testTimeout: TEST_TIMEOUT,
    hookTimeout: TEST_TIMEOUT,
    expect: { poll: { timeout: PATIENCE } },
    reporters: ['default', './test/support/summary-reporter.ts'],
    sequence: { sequencer: LongestFirst },
    coverage: { include: ['src/**'], reporter: ['text', 'html'], reportsDirectory: '.cache/coverage' },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: UNIT,
          setupFiles: ['test/support/no-processes.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'processes',
          include: ['test/**/*.test.ts'],
          exclude: [...UNIT, ...ALONE, '**/node_modules/**'],
          // Most tests wait for processes and for the disk, so two cores have work for three.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: { name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
    ],
  },
})
