import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'

/** The layers of the program: which may import which. */

const SRC = new URL('../src', import.meta.url).pathname
const FILES = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(file => file.endsWith('.ts'))

interface Import {
  from: string
  /** A file of ours, relative to src, or a package. */
  to: string
  isType: boolean
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), 'utf8')
  const statements = text.matchAll(/^(?:import|export)\s+(type\s)?(?:[^'"]*?\sfrom\s+)?['"]([^'"]+)['"]/gms)
  const dynamic = text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)\s*(\.\w+)?/g)
  const resolve = (to: string) => (to.startsWith('.') ? relative(SRC, join(SRC, dirname(file), to)) : to)
  return [
    ...[...statements].map(([, type, to]) => ({ from: file, to: resolve(to!), isType: type !== undefined })),
    ...[...dynamic].map(([, to]) => ({ from: file, to: resolve(to!), isType: false })),
  ]
}

const IMPORTS = FILES.flatMap(importsOf)
const layer = (file: string) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : file)
const show = ({ from, to }: Import) => `${from} → ${to}`

test('imports are found', () => {
  expect(IMPORTS.map(show)).toContain('http/router.ts → hono')
  expect(IMPORTS.map(show)).toContain('images/update.ts → images/validate.ts')
  expect(IMPORTS.filter(({ isType }) => isType).map(show)).toContain('images/ports.ts → images/image.ts')
})

test('the domain knows nothing of HTTP, files and databases', () => {
  const allowed = (one: Import) =>
    one.to.startsWith('images/') ||
    ['zod', 'jsonc-parser'].includes(one.to) ||
    (one.to === 'node:stream' && one.isType)
  const foreign = IMPORTS.filter(one => layer(one.from) === 'images' && !allowed(one))
  expect(foreign.map(show)).toEqual([])
})

/**
 * What each layer may import, besides itself and packages: what serves is above what images are, which is above
 * nothing. A new folder is refused until it is placed here.
 */
const MAY_IMPORT: Record<string, string[]> = {
  'imgapi.ts': ['commands', 'config', 'layers', 'version.ts'],
  commands: [
    ...['auth', 'client', 'config', 'gateways', 'http', 'images', 'imports', 'sources', 'storage', 'util'],
    ...['log.ts', 'version.ts'],
  ],
  // The settings of a part are described beside the part.
  config: ['gateways', 'images', 'imports'],
  gateways: ['config', 'http', 'images', 'imports', 'layers', 'sources', 'storage', 'util'],
  http: ['auth', 'images', 'imports', 'sources', 'util', 'log.ts', 'version.ts'],
  auth: ['images', 'util'],
  client: ['images', 'sources', 'util'],
  // Of jobs and mirrors it knows the records that it keeps.
  storage: ['images', 'imports', 'util'],
  // The drop folder pairs and checks manifests as `publish` does.
  imports: ['client', 'config', 'images', 'sources', 'util'],
  sources: ['images', 'util'],
  layers: ['util'],
  images: [],
  util: [],
  'log.ts': ['log-output.ts'],
  'log-output.ts': [],
  'version.ts': [],
}

test('every layer imports only what its place allows', () => {
  const inside = IMPORTS.filter(({ to }) => to.endsWith('.ts'))
  const wrong = inside.filter(({ from, to }) => {
    const [own, other] = [layer(from), layer(to)]
    return own !== other && !(MAY_IMPORT[own]?.includes(other) ?? false)
  })
  expect(wrong.map(show)).toEqual([])
  expect([...new Set(FILES.map(layer))].filter(name => !MAY_IMPORT[name])).toEqual([])
})

test('only the executable imports commands', () => {
  const importers = IMPORTS.filter(({ to }) => layer(to) === 'commands').map(({ from }) => from)
  const others = importers.filter(file => layer(file) !== 'commands' && file !== 'imgapi.ts')
  expect(others).toEqual([])
})

test('a gateway is its folder and one line: nobody else knows of it, not even another gateway', () => {
  const home = (file: string) => /^gateways\/[^/]+\//.exec(file)?.[0]
  const outside = IMPORTS.filter(({ from, to }) => home(to) && home(from) !== home(to))
  const gateways = new Set(FILES.flatMap(file => home(file) ?? []))
  expect(outside.map(show)).toEqual([...gateways].map(folder => `gateways/registry.ts → ${folder}index.ts`))
})

test('of the storage gateways know how files are written for good, and nothing of where images are', () => {
  const ways = ['storage/local/document.ts', 'storage/local/durable.ts']
  const wrong = IMPORTS.filter(
    ({ from, to }) => layer(from) === 'gateways' && layer(to) === 'storage' && !ways.includes(to),
  )
  expect(wrong.map(show)).toEqual([])
})

test('no file is longer than 300 lines', () => {
  const lines = (file: string) => readFileSync(join(SRC, file), 'utf8').split('\n').length
  expect(FILES.filter(file => lines(file) > 301)).toEqual([])
})

test('no imports go round in circles', () => {
  // Types are gone when the program runs, but what is tangled in its types is tangled.
  const next = new Map(
    FILES.map(file => [file, IMPORTS.filter(({ from }) => from === file).map(({ to }) => to)]),
  )
  const done = new Set<string>()
  const findCircle = (file: string, path: string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const other of next.get(file) ?? []) {
      const circle = findCircle(other, [...path, file])
      if (circle) return circle
    }
    done.add(file)
    return undefined
  }
  for (const file of FILES) expect(findCircle(file, [])).toBeUndefined()
})
