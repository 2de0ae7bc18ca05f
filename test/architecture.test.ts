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
 * The layers from the top down: each may import what is named here, besides itself and packages, and only layers
 * below itself. `type` before a layer: types alone, which are gone when the program runs. A layer is a folder of `src`
 * or a file; a file that is named here is not part of its folder. What has no place here is refused.
 */
const MAY_IMPORT: Record<string, string[]> = {
  'imgapi.ts': ['commands', 'layers', 'util', 'version.ts'],
  commands: [
    ...['config', 'gateways', 'http', 'auth', 'storage', 'client', 'imports', 'sources', 'images'],
    ...['util', 'log.ts', 'version.ts'],
  ],
  // The settings of a part are described beside the part.
  config: ['gateways', 'imports', 'images', 'util'],
  gateways: ['http', 'storage', 'imports', 'sources', 'layers', 'images', 'util'],
  http: ['type auth', 'imports', 'sources', 'images', 'util', 'version.ts'],
  auth: ['images', 'util'],
  // Of jobs and mirrors it knows the records that it keeps.
  storage: ['imports', 'images', 'util'],
  // It knows jobs and mirrors as servers show them.
  client: ['type imports', 'sources', 'images', 'util'],
  imports: ['sources', 'images', 'util'],
  sources: ['images', 'util'],
  layers: ['util'],
  images: [],
  util: [],
  'log.ts': ['log-output.ts'],
  'log-output.ts': [],
  'version.ts': [],
}

const LAYERS = Object.keys(MAY_IMPORT)
const folder = (file: string) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : file)
const layer = (file: string) => (file in MAY_IMPORT ? file : folder(file))
const own = IMPORTS.filter(({ from, to }) => FILES.includes(to) && layer(from) !== layer(to))

test('every folder and every file beside them has its place among the layers', () => {
  expect(FILES.filter(file => !LAYERS.includes(layer(file)))).toEqual([])
})

test('a layer imports only what its place allows', () => {
  const wrong = own.filter(({ from, to, isType }) => {
    const allowed = MAY_IMPORT[layer(from)] ?? []
    return !allowed.includes(layer(to)) && !(isType && allowed.includes(`type ${layer(to)}`))
  })
  expect(wrong.map(show)).toEqual([])
})

test('no place allows more than its layer imports', () => {
  const used = new Set(own.map(({ from, to }) => `${layer(from)} → ${layer(to)}`))
  const allowed = LAYERS.flatMap(from => MAY_IMPORT[from]!.map(to => `${from} → ${to.replace('type ', '')}`))
  expect(allowed.filter(arrow => !used.has(arrow))).toEqual([])
})

test('layers import downwards', () => {
  const upwards = LAYERS.flatMap((from, index) =>
    MAY_IMPORT[from]!.filter(to => LAYERS.indexOf(to.replace('type ', '')) <= index).map(
      to => `${from} → ${to}`,
    ),
  )
  expect(upwards).toEqual([])
})

test('only the executable imports commands', () => {
  const importers = IMPORTS.filter(({ to }) => layer(to) === 'commands').map(({ from }) => from)
  const others = importers.filter(file => layer(file) !== 'commands' && file !== 'imgapi.ts')
  expect(others).toEqual([])
})

test('a gateway is its folder and one line: no other file imports it, not even another gateway', () => {
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

test('an error of the API is made by the factory of its code', () => {
  // The samples of `ping` may have any code.
  const places = ['images/errors.ts', 'http/imgapi/ping.ts']
  const others = FILES.filter(file => !places.includes(file))
  expect(others.filter(file => readFileSync(join(SRC, file), 'utf8').includes('new ImgapiError('))).toEqual(
    [],
  )
})
