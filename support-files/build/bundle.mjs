import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { build } from 'esbuild'

/**
 * Makes dist/imgapi.js, the whole program in one file, and with --binary also dist/imgapi, the same with Node
 * inside (Node's single executable applications).
 *
 * The file must run whatever Node takes it for: a module in this clone (package.json says so), CommonJS where
 * it is installed without a package.json. So it is one function that asks only for what both have:
 * `process.getBuiltinModule`, from which it makes the `require` that bundled CommonJS packages expect.
 */
const banner = `#!/usr/bin/env node
var require = process.getBuiltinModule('module').createRequire(process.execPath);`

mkdirSync('dist', { recursive: true })
await build({
  entryPoints: ['src/imgapi.ts'],
  outfile: 'dist/imgapi.js',
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'iife',
  banner: { js: banner },
  // Its CommonJS form hides what it requires from the bundler.
  alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' },
  legalComments: 'linked',
  logLevel: 'warning',
})
chmodSync('dist/imgapi.js', 0o755)

if (process.argv.includes('--binary')) {
  const config = { main: 'dist/imgapi.js', output: 'dist/imgapi.blob', disableExperimentalSEAWarning: true }
  writeFileSync('dist/sea.json', JSON.stringify(config))
  runQuietly(process.execPath, ['--experimental-sea-config', 'dist/sea.json'])
  rmSync('dist/imgapi', { force: true })
  copyFileSync(process.execPath, 'dist/imgapi')
  const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'
  const inject = ['postject', 'dist/imgapi', 'NODE_SEA_BLOB', 'dist/imgapi.blob', '--sentinel-fuse', fuse]
  runQuietly('npx', inject)
  chmodSync('dist/imgapi', 0o755)
  rmSync('dist/imgapi.blob')
  rmSync('dist/sea.json')
}

/** Both tools talk much when all is well; what they said is shown if they fail. */
function runQuietly(program, args) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status === 0) return
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`)
  throw error ?? new Error(`${program} ended with ${status}`)
}
