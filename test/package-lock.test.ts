import { expect, test } from 'vitest'
import lock from '../package-lock.json' with { type: 'json' }

interface Locked {
  version?: string
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
}

const packages = lock.packages as Record<string, Locked>

/** Where Node would find it from there, or undefined. */
function resolve(from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.replace(/(^|\/)node_modules\/(@[^/]+\/)?[^/]+$/, '')) {
    const path = `${folder && `${folder}/`}node_modules/${name}`
    if (packages[path]?.version) return path
    if (folder === '') return undefined
  }
}

// Where npm cannot reach one while it writes the lock file, it leaves it out, and `npm ci` refuses the file.
test('the lock file has every package that a package names, those of other platforms too', () => {
  const missing = Object.entries(packages).flatMap(([path, { dependencies, optionalDependencies }]) =>
    Object.keys({ ...dependencies, ...optionalDependencies })
      .filter(name => resolve(path, name) === undefined)
      .map(name => `${name}, which ${path || 'package.json'} names`),
  )
  expect(missing).toEqual([])
})
