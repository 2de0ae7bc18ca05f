import { createRequire } from 'node:module'
import { allRequire, requires, type Test } from './programs.ts'

/**
 * The client libraries of test/clients. They are older than types and modules, and have old dependencies,
 * so they are installed apart from the rest: `npm ci` of the server installs none of it.
 */

const require = createRequire(new URL('../clients/package.json', import.meta.url))

/** Loads a module of test/clients; throws if it is not installed. */
export const loadClient = (module: string) => require(module)

const HOW_TO_GET_THEM = 'the client libraries are not installed: npm ci --prefix test/clients'
const areInstalled = ['sdc-clients/package.json', 'smartdc-auth/package.json'].every(isFound)

/** A test that uses them. */
export const needsOldClients = requires(areInstalled, HOW_TO_GET_THEM)

/** The same for tests that need something else too. */
export const andOldClients = (runs: Test): Test => (areInstalled ? runs : needsOldClients)

/** Says that every test of the file uses them. */
export const allNeedOldClients = () => allRequire(areInstalled, HOW_TO_GET_THEM)

function isFound(module: string): boolean {
  try {
    require.resolve(module)
    return true
  } catch {
    return false
  }
}
