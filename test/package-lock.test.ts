import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import rootLock from '../package-lock.json' with { type: 'json' }
import clientsLock from './clients/package-lock.json' with { type: 'json' }

interface Locked {
  version?: string
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
}

type Packages = Record<string, Locked>

const packages: Packages = rootLock.packages
const LOCKS: [name: string, packages: Packages][] = [
  ['of the server', packages],
  ['of the old client libraries', clientsLock.packages],
]

/** Where Node would find it from there, or undefined. */
function resolve(packages: Packages, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.replace(/(^|\/)node_modules\/(@[^/]+\/)?[^/]+$/, '')) {
    const path = `${folder && `${folder}/`}node_modules/${name}`
    if (packages[path]?.version) return path
    if (folder === '') return undefined
  }
}

// Where npm cannot reach one while it writes the lock file, it leaves it out, and `npm ci` refuses the file.
test.for(LOCKS)(
  'the lock file %s has every package that a package names, those of other platforms too',
  ([, packages]) => {
    const missing = Object.entries(packages).flatMap(([path, { dependencies, optionalDependencies }]) =>
      Object.keys({ ...dependencies, ...optionalDependencies })
        .filter(name => resolve(packages, path, name) === undefined)
        .map(name => `${name}, which ${path || 'package.json'} names`),
    )
    expect(missing).toEqual([])
  },
)

test('an installation of the server has none of the old client libraries and what they alone need', () => {
  const old = ['sdc-clients', 'smartdc-auth', 'bunyan', 'dtrace-provider', 'lodash', 'nan', 'restify-clients']
  expect(Object.keys(clientsLock.packages)).toEqual(
    expect.arrayContaining(old.map(name => `node_modules/${name}`)),
  )
  const names = Object.keys(packages).map(path => path.slice(path.lastIndexOf('node_modules/') + 13))
  expect(names.filter(name => old.includes(name))).toEqual([])
})

test('an installation runs no scripts of packages, so that it builds nothing', () => {
  const settings = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8').split('\n')
  for (const path of ['../.npmrc', './clients/.npmrc'])
    expect(settings(path)).toContain('ignore-scripts=true')
})
