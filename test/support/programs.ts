import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { beforeEach, type TestContext, test } from 'vitest'

/**
 * Tests that need a real program. Where it is missing the test is left out and the end of the run says how to
 * get it; under CI=true nothing may be left out, and the test fails.
 */
export type Test = (name: string, body: () => unknown, timeout?: number) => void

export const needs = (program: string, debianPackage: string): Test =>
  requires(isInstalled(program), `${program} is not installed: apt-get install ${debianPackage}`)

export function requires(isThere: boolean, howToGetIt: string): Test {
  if (isThere) return (name, body, timeout) => test(name, () => body() as Promise<void>, timeout)
  return name => test(name, context => leaveOut(context, howToGetIt))
}

/** The same for every test of the file or the group that calls it. */
export function allRequire(isThere: boolean, howToGetIt: string) {
  if (!isThere) beforeEach(context => leaveOut(context, howToGetIt))
}

function leaveOut(context: TestContext, howToGetIt: string) {
  if (process.env.CI === 'true') throw new Error(howToGetIt)
  context.skip(howToGetIt)
}

/** The tests that every one of some programs is needed for. */
export function needsAll(programs: Record<string, string>): Test {
  const missing = Object.entries(programs).find(([program]) => !isInstalled(program))
  return missing
    ? needs(...missing)
    : (name, body, timeout) => test(name, () => body() as Promise<void>, timeout)
}

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some(folder => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
